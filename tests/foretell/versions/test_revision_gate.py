"""The revision gate: a version made for a looser contract than the served one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from grpc_server.checks.add_model import add_model
from grpc_server.store.repository import Repository
from grpc_server.store.route_table_files import RouteTableFiles
from tests.foretell_contract.diff.test_contract_revision import IRIS, TIGHTER, write
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models.candidates import graph, promote
from tests.support.processes import foretell

pytestmark = pytest.mark.slow

SAYS = "model 'iris' version 1 was made for another revision of the contract, whose callers this one breaks: "
FIX = "serve the change as a new package beside the old one, or add the model again for the contract as it is"


class RevisionServer:
    """A server with version 1 for the looser contract and version 2 for the tighter one."""

    def __init__(self, root: Path, protos: Path, control: str) -> None:
        self.root, self._protos = root, protos
        self.control = control

    def promote(self, *arguments: str) -> Result:
        command = ["promote", "iris", "1", "--models", str(self.root), "--protos", str(self._protos), *arguments]
        return CliRunner().invoke(app, command)

    @property
    def generation(self) -> int:
        return RouteTableFiles(Repository(self.root)).read("iris").generation


@contextmanager
def serving(folder: Path, **packages: str) -> Iterator[RevisionServer]:
    loose, tight, root = write(folder / "loose", v1=IRIS), write(folder / "tight", v1=TIGHTER), folder / "models"
    for number, protos in enumerate((loose, tight), 1):
        artifact = folder / "model.onnx"
        artifact.write_bytes(graph(number / 100))
        add_model(Repository(root), artifact, "iris", COLUMNS, classes=CLASSES, contract=load(protos))
    promote(root, "2")
    protos = write(folder / "served", **packages)
    with foretell(root, "--protos", str(protos), "--control-http", "127.0.0.1:0") as running:
        (line,) = [line for line in running.banner.splitlines() if line.startswith("  control ")]
        yield RevisionServer(root, protos, line.split()[1].removesuffix("/docs"))


@pytest.fixture(scope="module")
def tightened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RevisionServer]:
    with serving(tmp_path_factory.mktemp("tightened"), v1=TIGHTER) as served:
        yield served


def test_looser_contract_is_refused_before_change(tightened: RevisionServer) -> None:
    refused = tightened.promote()
    assert refused.stdout.splitlines() == ["  digest    passed", "  revision  refused"]
    assert isinstance(refused.exception, SetupError)
    text = str(refused.exception)
    assert text.startswith(SAYS)
    assert "double.lte" in text
    assert text.endswith(f"{FIX} (gate revision; nothing has changed)")
    assert tightened.generation == 2


def test_server_refuses_unchecked_version(tightened: RevisionServer) -> None:
    refused = tightened.promote("--no-check")
    assert isinstance(refused.exception, SetupError)
    assert f"refused version 1 at the gate revision: {SAYS}" in str(refused.exception)
    assert str(refused.exception).endswith("; the change is undone")
    listed = json.loads(CliRunner().invoke(app, ["models", "--json", "--models", str(tightened.root)]).stdout)
    assert [model["version"] for model in listed["models"]] == ["2"]


def test_control_service_names_revision_gate(tightened: RevisionServer) -> None:
    answer = httpx2.post(f"{tightened.control}/control/promote", json={"name": "iris", "version": "1"}, timeout=60)
    (problem,) = answer.json()["detail"]
    assert (answer.status_code, problem["ctx"]) == (400, {"gate": "revision"})
    assert problem["msg"].startswith(SAYS)


def test_new_package_lets_version_pass(tmp_path: Path) -> None:
    second = TIGHTER.replace("iris.v1", "iris.v2").replace('post: "/', 'post: "/v2/')
    with serving(tmp_path, v1=IRIS, v2=second) as beside:
        told = json.loads(beside.promote("--json").stdout)
    assert (told["aliases"], told["server"]) == ({"production": "1"}, "served")
