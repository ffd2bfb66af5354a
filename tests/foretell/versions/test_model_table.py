"""`foretell models`: of a server, of a repository, and with an address that does not answer."""

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx2
import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app
from grpc_server.store.repository import Repository
from tests.support.iris import COLUMNS, EXAMPLE
from tests.support.processes import Foretell, foretell, refused

pytestmark = pytest.mark.slow


def listed(*arguments: str, **environment: str) -> Result:
    result = CliRunner().invoke(app, ["models", *arguments], env=environment)
    assert result.exit_code == 0, result.output
    return result


def without(nowhere: str) -> dict[str, str]:
    """Environment in which commands find a server only at `nowhere`."""
    return {"FORETELL_GRPC_ADDRESS": nowhere, "FORETELL_CONTROL": "off"}


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


@pytest.fixture(scope="module")
def in_processes(models: Path) -> Iterator[Foretell]:
    with foretell(models, "--placement", "process", "--workers", "1") as started:
        yield started


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that refuses connections."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{silent.getsockname()[1]}"


def test_server_models_show_placement_and_cost(in_processes: Foretell) -> None:
    head, _line, *lines = listed("--target", in_processes.grpc).stdout.splitlines()
    assert cells(head) == ["name", "version", "aliases", "format", "services", "placement", "workers", "1 row", "64 rows"]
    (line,) = lines
    assert cells(line)[:7] == ["iris", "1", "production", "joblib", "iris.v1.IrisService", "process", "1"]
    assert all(re.fullmatch(r"[0-9.]+ ms", cost) for cost in cells(line)[7:])
    assert httpx2.post(f"{in_processes.http}/predict", json=EXAMPLE).json()["setosa_probability"] < 0.1


def test_inline_model_has_one_worker(running: Foretell) -> None:
    (model,) = json.loads(listed("--target", running.grpc, "--json").stdout)["models"]
    assert (model["name"], model["placement"], model["workers"]) == ("iris", "PLACEMENT_INLINE", 1)
    assert min(model["cost"].values()) > 0
    assert model["columns"] == list(COLUMNS)
    (over_rest,) = httpx2.get(f"{running.http}/models").json()["models"]
    assert {name: over_rest[name] for name in ("placement", "workers", "cost")} == {
        name: model[name] for name in ("placement", "workers", "cost")
    }


def test_versions_on_disk_without_server(models: Path, nowhere: str) -> None:
    result = listed("--models", str(models), **without(nowhere))
    assert result.stderr == f"no server answers at {nowhere}; these are the versions in {models}\n"
    assert [cells(line) for line in result.stdout.splitlines()[2:]] == [["iris", "1", "production", "joblib"]]
    (model,) = json.loads(listed("--models", str(models), "--json", **without(nowhere)).stdout)["models"]
    assert model["digest"] == Repository(models).read("iris", "1").manifest.digest
    assert "placement" not in model


def test_empty_repository_without_server_is_reported(tmp_path: Path, nowhere: str) -> None:
    (tmp_path / "not a model").mkdir()
    assert json.loads(listed("--models", str(tmp_path), "--json", **without(nowhere)).stdout) == {"models": []}
    result = listed("--models", str(tmp_path), **without(nowhere))
    assert (result.stdout, result.stderr) == ("", f"no server answers at {nowhere}; there is no version in {tmp_path}\n")


def test_silent_target_is_refused_in_one_line(nowhere: str) -> None:
    code, stderr = refused("foretell", "models", "--json", "--target", nowhere)
    assert (code, stderr) == (2, f"foretell: no server answers at {nowhere}\n")


def test_foreign_server_is_refused_in_one_line(models: Path) -> None:
    other = grpc.server(ThreadPoolExecutor(1))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    try:
        code, stderr = refused("foretell", "models", "--target", f"127.0.0.1:{port}")
    finally:
        other.stop(None).wait()
    assert (code, stderr) == (2, f"foretell: the server at 127.0.0.1:{port} is no Foretell server (UNIMPLEMENTED)\n")
