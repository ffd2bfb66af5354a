"""Versions and a contract that has changed since: refused before anything changes only if they cannot answer it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from grpc_server.checks.add_model import add_model
from grpc_server.loading.candidate_trial import CandidateTrial
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION
from grpc_server.store.route_table_files import RouteTableFiles
from tests.foretell_contract.diff.test_contract_revision import IRIS, TIGHTER, write
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models.candidates import graph, promote
from tests.support.servers.served_models import opened

pytestmark = pytest.mark.slow

FOREIGN_FIELD = "  optional double stem_length = 5 [(buf.validate.field).required = true];\n"


def add(root: Path, protos: Path) -> str:
    (root / "model.onnx").write_bytes(graph(0.1))
    return add_model(Repository(root), root / "model.onnx", "iris", COLUMNS, classes=CLASSES, contract=load(protos)).version


def rollback(root: Path, protos: Path, *options: str) -> Result:
    arguments = ["rollback", "iris", "--models", str(root), "--protos", str(protos), *options]
    return CliRunner().invoke(app, arguments, env={"FORETELL_CONTROL": "off", "FORETELL_GRPC_ADDRESS": "127.0.0.1:1"})


def with_stem(text: str) -> str:
    place = text.index("  optional double petal_width")
    return text[:place] + FOREIGN_FIELD + text[place:]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Versions 1 and 2, both added for the first contract; 2 is production after 1."""
    protos = write(tmp_path / "first", v1=IRIS)
    root = tmp_path / "models"
    root.mkdir()
    for _ in range(2):
        add(root, protos)
    promote(root, "2")
    return root


@pytest.mark.parametrize(
    ("outgrown", "says"),
    [
        pytest.param(with_stem(IRIS), "stem_length matches no column of the model", id="new-field"),
        pytest.param(
            IRIS.replace("double setosa_probability", "double bristle_probability"), "bristle_probability", id="new-class"
        ),
        pytest.param(IRIS.replace("double sepal_width", "double sepal_breadth"), "sepal_breadth matches no column", id="new-name"),
    ],
)
def test_rollback_says_beforehand_what_cannot_answer(root: Path, tmp_path: Path, outgrown: str, says: str) -> None:
    refused = rollback(root, write(tmp_path / "now", v1=outgrown))
    assert isinstance(refused.exception, SetupError), refused.output
    assert says in str(refused.exception)
    assert str(refused.exception).endswith(
        ": serve a contract that it fits, roll back once more, or promote another version (gate contract; nothing has changed)"
    )
    assert RouteTableFiles(Repository(root)).read("iris").aliases == {PRODUCTION: "2"}
    assert rollback(root, tmp_path / "now", "--no-check").exit_code == 0


@pytest.mark.parametrize("changed", [IRIS, IRIS.replace("// ", "// Now: "), TIGHTER], ids=["same", "comments", "tighter"])
def test_rollback_goes_where_the_contract_still_fits(root: Path, tmp_path: Path, changed: str) -> None:
    result = rollback(root, write(tmp_path / "now", v1=changed))
    assert result.stdout.splitlines()[-1] == "production of iris is version 1 again (generation 3)"


def test_rollback_without_a_contract_says_that_it_is_untried(root: Path, tmp_path: Path) -> None:
    result = rollback(root, tmp_path / "nowhere")
    untried = f"(not tried: there is no contract in {tmp_path / 'nowhere'}; pass --protos)"
    assert result.stdout.splitlines() == [f"production of iris is version 1 again {untried} (generation 3)"]


@pytest.mark.parametrize(
    "now",
    [TIGHTER, TIGHTER.replace("// ", "// Now: "), TIGHTER.replace("double.gte = 0.1", "double.gte = 0.05", 1)],
    ids=["same", "comments", "wider"],
)
def test_version_that_answered_a_contract_passes_its_revision_gate(root: Path, tmp_path: Path, now: str) -> None:
    """The start does not compare revisions, so a version can answer a contract that is tighter than its own."""
    answered, served = load(write(tmp_path / "answered", v1=TIGHTER)), load(write(tmp_path / "now", v1=now))
    trial = lambda version: CandidateTrial("iris", version, served, ServerSettings(models=root), lambda _gate: None)  # noqa: E731
    with pytest.raises(SetupError, match="made for another revision of the contract"):
        trial("2").run()
    with opened(root, answered):
        pass
    assert trial("2").run()
