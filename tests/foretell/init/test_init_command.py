"""`foretell init` on estimators of every kind: a clean contract, and a server that gives the estimator's own answers."""

import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.source.compiler import SHIPPED
from grpc_server.store.repository import Repository
from tests.support.models.init_cases import CASES, ROWS, Case
from tests.support.processes import ROOT
from tests.support.servers.estimator_answers import assert_answers
from tests.support.servers.many_models import BridgedServer, served

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # As the server says it.

BUF = Path(sys.executable).with_name("buf")


def init(root: Path, *arguments: str | Path) -> Result:
    folders = ["--protos", str(root / "protos"), "--models", str(root / "models")]
    return CliRunner().invoke(app, ["init", *map(str, arguments), *folders], catch_exceptions=False)


def init_case(root: Path, name: str, case: Case) -> Result:
    joblib.dump(case.estimator, root / f"{name}.joblib")
    case.frame.to_csv(root / f"{name}.csv", index=False)
    return init(root, root / f"{name}.joblib", "--data", root / f"{name}.csv", *case.options)


def buf(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """buf with our own settings over the contracts of `root`; the imports are put beside them."""
    for folder in ("buf", "google", "foretell"):
        shutil.copytree(SHIPPED / folder, root / "protos" / folder, dirs_exist_ok=True)
    shutil.copy(ROOT / "buf.yaml", root)
    return subprocess.run([str(BUF), *arguments], cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {name: make() for name, make in CASES.items()}


@pytest.fixture(scope="module")
def initiated(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("init")
    for name, case in cases.items():
        done = init_case(root, name, case)
        assert done.exit_code == 0, done.output
    return root


@pytest.fixture(scope="module")
def server(initiated: Path) -> Iterator[BridgedServer]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")  # As the server does.
        with served(initiated / "protos", initiated / "models") as server:
            yield server


@pytest.mark.slow
def test_nothing_is_wrong_with_what_is_written(initiated: Path) -> None:
    done = CliRunner().invoke(
        app, ["check", "--protos", str(initiated / "protos"), "--models", str(initiated / "models")], catch_exceptions=False
    )
    assert (done.exit_code, done.output) == (0, "Nothing is wrong.\n")


def test_buf_has_nothing_to_format_and_nothing_to_say(initiated: Path) -> None:
    excluded = [f"--exclude-path=protos/{folder}" for folder in ("buf", "google", "foretell")]
    done = buf(initiated, "format", "-d", "--exit-code", *excluded)
    assert (done.returncode, done.stdout) == (0, "")
    done = buf(initiated, "lint")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_grpc_and_rest_give_the_estimators_answers(server: BridgedServer, cases: dict[str, Case], name: str) -> None:
    case, method = cases[name], server.methods[f"{name}.Predict"]
    assert method.paths == (f"/{name}/predict",)
    assert len(case.rows) == len(case.answers) == ROWS
    assert_answers(server, method, case.rows, case.answers)


@pytest.mark.parametrize("name", CASES)
def test_twenty_golden_rows_are_kept(initiated: Path, name: str) -> None:
    repository = Repository(initiated / "models")
    golden = repository.read(name, "1").golden
    assert len(golden) == 20
    assert all(row.outputs for row in golden)
