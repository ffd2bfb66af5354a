"""`foretell init` on every kind of estimator: a valid contract, and a server with the estimator's own answers."""

import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.source.compiler import SHIPPED
from grpc_server.store.repository import Repository
from tests.support.models.init_cases import CASES, ROWS, InitCase
from tests.support.processes import ROOT
from tests.support.servers.drafted_models import draft
from tests.support.servers.estimator_answers import assert_answers
from tests.support.servers.many_models import BridgedServer, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
]  # The server ignores it too.

BUF = Path(sys.executable).with_name("buf")


def init(root: Path, *arguments: str | Path) -> Result:
    folders = ["--protos", str(root / "protos"), "--models", str(root / "models")]
    return CliRunner().invoke(app, ["init", *map(str, arguments), *folders], catch_exceptions=False)


def buf(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs buf with this repository's settings on the contracts of `root`, with the imports beside them."""
    for folder in ("buf", "google", "foretell"):
        shutil.copytree(SHIPPED / folder, root / "protos" / folder, dirs_exist_ok=True)
    shutil.copy(ROOT / "buf.yaml", root)
    return subprocess.run([str(BUF), *arguments], cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cases() -> dict[str, InitCase]:
    return {name: make() for name, make in CASES.items()}


@pytest.fixture(scope="module")
def drafted(cases: dict[str, InitCase], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("init")
    for name, case in cases.items():
        case.frame.to_csv(root / f"{name}.csv", index=False)
        draft(root, name, case.estimator, "--data", root / f"{name}.csv", *case.options)
    return root


@pytest.fixture(scope="module")
def server(drafted: Path) -> Iterator[BridgedServer]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")  # The server ignores it too.
        with served(drafted / "protos", drafted / "models") as server:
            yield server


@pytest.mark.slow
def test_drafted_contracts_have_no_problems(drafted: Path) -> None:
    done = CliRunner().invoke(
        app, ["check", "--protos", str(drafted / "protos"), "--models", str(drafted / "models")], catch_exceptions=False
    )
    assert (done.exit_code, done.output) == (0, "Nothing is wrong.\n")


def test_drafted_contracts_pass_buf(drafted: Path) -> None:
    excluded = [f"--exclude-path=protos/{folder}" for folder in ("buf", "google", "foretell")]
    done = buf(drafted, "format", "-d", "--exit-code", *excluded)
    assert (done.returncode, done.stdout) == (0, "")
    done = buf(drafted, "lint")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_grpc_and_rest_give_the_estimators_answers(server: BridgedServer, cases: dict[str, InitCase], name: str) -> None:
    case, method = cases[name], server.methods[f"{name}.Predict"]
    assert method.paths == (f"/{name}/predict",)
    assert len(case.rows) == len(case.answers) == ROWS
    assert_answers(server, method, case.rows, case.answers)


@pytest.mark.parametrize("name", CASES)
def test_twenty_golden_rows_are_stored(drafted: Path, name: str) -> None:
    repository = Repository(drafted / "models")
    golden = repository.read(name, "1").golden
    assert len(golden) == 20
    assert all(row.outputs for row in golden)
