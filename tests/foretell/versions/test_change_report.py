"""Route changes and `foretell history` on the command line, with and without a running server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.contract import Contract
from foretell_contract.errors import SetupError
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import RouteTable
from grpc_server.store.route_table_files import ROUTES, RouteTableFiles
from tests.conftest import PROTOS
from tests.foretell.versions.test_model_table import cells
from tests.support.iris import EXAMPLE
from tests.support.models import candidates
from tests.support.models.candidates import add, add_steady, golden
from tests.support.processes import grpc_server, refused

pytestmark = pytest.mark.slow


class Command:
    """The command line on one repository, with a server at `target` or none."""

    def __init__(self, root: Path, target: str) -> None:
        self.root = root
        self.target = target

    def __call__(self, *arguments: str, fails: bool = False) -> Result:
        options = ["--models", str(self.root)]
        if arguments[0] == "promote":
            options += ["--protos", str(PROTOS)]
        asking = {"FORETELL_CONTROL": "off", "FORETELL_GRPC_ADDRESS": self.target}
        result = CliRunner().invoke(app, [*arguments, *options], env=asking)
        assert (result.exit_code != 0) == fails, result.output
        return result

    def refusal(self, *arguments: str) -> str:
        """The error text of a refused command."""
        result = self(*arguments, fails=True)
        assert isinstance(result.exception, SetupError), result.exception
        return str(result.exception)

    @property
    def routes(self) -> RouteTable:
        return RouteTableFiles(Repository(self.root)).read("iris")


@pytest.fixture
def alone(tmp_path: Path) -> Command:
    """Two versions and no server."""
    add_steady(tmp_path, 2)
    return Command(tmp_path, "127.0.0.1:1")


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Two versions and a server, shared by tests that change only the route table."""
    root = tmp_path_factory.mktemp("models")
    add_steady(root, 2)
    with grpc_server(root, gate_seconds="30") as (_process, address):
        yield Command(root, address)


def test_promotion_prints_each_gate(alone: Command) -> None:
    result = alone("promote", "iris", "1", "--why", "rehearsal")
    gates = [line.split()[:2] for line in result.stdout.splitlines()[:5]]
    assert gates == [[gate, "passed"] for gate in ("digest", "load", "contract", "golden", "warm-up")]
    assert result.stdout.splitlines()[5:] == ["production of iris is version 1 (generation 1)"]
    assert result.stderr == "no server answers at 127.0.0.1:1: the next one to start serves this\n"
    (change,) = alone.routes.history
    assert (change.why, change.before, change.after) == ("rehearsal", None, "1")


def test_refused_promotion_changes_nothing(alone: Command) -> None:
    version = add(alone.root, candidates.Steady(0.5), golden(0.4))
    assert alone.refusal("promote", "iris", version) == (
        "model 'iris' version 3 gives setosa 0.500000 for golden row 1, expected 0.400000; "
        "if the new value is right, add the model again with golden rows that expect it (gate golden; nothing has changed)"
    )
    assert not (alone.root / "iris" / ROUTES).exists()


def test_history_shows_last_change_first(alone: Command) -> None:
    assert "iris has no route table yet" in alone("history", "iris").stderr
    alone("promote", "iris", "2", "--no-check", "--no-wait", "--why", "first")
    alone("promote", "iris", "2", "--no-check", "--no-wait", "--alias", "staging")
    alone("promote", "iris", "1", "--no-check", "--no-wait", "--why", "second")
    alone("rollback", "iris", "--no-wait", "--why", "too early")
    alone("retire", "iris", "1", "--no-wait")
    head, _line, *lines = alone("history", "iris").stdout.splitlines()
    assert cells(head) == ["generation", "when", "who", "what", "alias", "from", "to", "share", "why"]
    rows = [[cell for number, cell in enumerate(cells(line)) if number not in (1, 2)] for line in lines]
    assert rows == [
        ["5", "retire", "1"],
        ["4", "rollback", "production", "1", "2", "too early"],
        ["3", "promote", "production", "2", "1", "second"],
        ["2", "promote", "staging", "2"],
        ["1", "promote", "production", "2", "first"],
    ]
    assert RouteTable.model_validate_json(alone("history", "iris", "--json").stdout) == alone.routes


def test_models_on_disk_show_aliases(alone: Command) -> None:
    alone("promote", "iris", "1", "--no-check", "--no-wait")
    alone("shadow", "iris", "2", "--no-check", "--no-wait")
    *lines, last = alone("models").stdout.splitlines()[2:]
    assert [cells(line) for line in lines] == [["iris", "1", "production", "onnx"], ["iris", "2", "onnx"]]
    assert last == "iris: shadow 2: no rows are compared yet"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("promote", "iris", "9"), "no version 9 of model 'iris' in MODELS; there are 1, 2"),
        (("promote", "rose", "1"), "no model 'rose' in MODELS: add one with `foretell add FILE --name rose`"),
        (
            ("promote", "iris", "1", "--alias", "A b", "--no-check"),
            "'A b' is no alias: write at most 64 lower-case letters",
        ),
        (("canary", "iris", "1", "--share", "x"), "'x' is no share: write a number of percent, such as 5%"),
        (
            ("canary", "iris", "1", "--share", "101%", "--no-check"),
            "101 % is no share for a canary: write one above 0 % and up to 100 %",
        ),
        (("canary", "iris", "1", "--share", "0"), "version 1 of iris is not the canary: there is none"),
        (("canary", "iris", "9", "--share", "5%"), "no version 9 of model 'iris' in MODELS; there are 1, 2"),
        (("rollback", "iris"), "production has no earlier version to roll back to: promote one instead"),
        (("rollback", "rose"), "no model 'rose' in MODELS"),
        (("retire", "iris", "9"), "no version 9 of model 'iris' in MODELS"),
        (("history", "rose"), "no model 'rose' in MODELS"),
        (("history", "../iris"), "'../iris' is no name for a model"),
    ],
)
def test_impossible_change_is_refused_in_one_line(alone: Command, arguments: tuple[str, ...], says: str) -> None:
    assert alone.refusal(*arguments).startswith(says.replace("MODELS", str(alone.root)))
    assert not (alone.root / "iris" / ROUTES).exists()


def test_refusal_is_one_line_on_stderr(alone: Command) -> None:
    code, stderr = refused("foretell", "rollback", "iris", "--models", str(alone.root))
    assert (code, stderr.count("\n"), stderr.startswith("foretell: production has no earlier version")) == (2, 1, True)


def test_running_server_follows_change(beside: Command) -> None:
    result = beside("promote", "iris", "1")
    assert result.stdout.splitlines()[-2:] == [
        "production of iris is version 1 (generation 2)",
        f"the server at {beside.target} follows generation 2",
    ]
    assert json.loads(beside("rollback", "iris", "--json").stdout) == {
        "name": "iris",
        "generation": 3,
        "aliases": {"production": "2"},
        "server": "served",
        "servers": [f"the server at {beside.target}"],
    }
    lines = [cells(line)[:3] for line in beside("models").stdout.splitlines()[2:]]
    assert lines == [["iris", "2", "production"], ["iris", "1", "onnx"]]
    beside("retire", "iris", "1")
    assert [cells(line)[1] for line in beside("models").stdout.splitlines()[2:]] == ["2"]


def test_canary_is_listed_until_its_end(beside: Command) -> None:
    beside("promote", "iris", "2", "--no-check")
    assert beside("canary", "iris", "1", "--share", "5%").stdout.splitlines()[-2].startswith("version 1 of iris answers 5 % of the")
    lines = [cells(line)[:3] for line in beside("models").stdout.splitlines()[2:]]
    assert lines == [["iris", "2", "production"], ["iris", "1", "5 % as canary"]]
    assert cells(beside("history", "iris").stdout.splitlines()[2])[3:] == ["canary", "1", "5 %"]
    beside("canary", "iris", "1", "--share", "0")
    assert beside.routes.canary is None
    version = add(beside.root, candidates.Backwards(0.5))
    assert beside.refusal("canary", "iris", version, "--share", "5", "--no-check").endswith("; the change is undone")
    assert beside.routes.canary is None


def test_shadow_is_compared_until_its_end(beside: Command, contract: Contract) -> None:
    beside("promote", "iris", "2", "--no-check")
    assert beside("shadow", "iris", "1").stdout.splitlines()[-2].startswith("version 1 of iris is the shadow of production")
    method = contract.services[0].methods[0]
    with grpc.insecure_channel(beside.target) as channel:
        channel.unary_unary(method.path)(method.request(**EXAMPLE).SerializeToString())
    listed = beside("models").stdout.splitlines()
    counted = r"1 rows compared, 100 % agree; largest shift \S+, mean \S+; .*"
    assert re.fullmatch(rf"iris: shadow 1: (no rows are compared yet|{counted})", listed[-1])
    beside("shadow", "iris", "1", "--end")
    assert beside.routes.shadow is None
    assert beside.refusal("shadow", "iris", "1", "--end") == "version 1 of iris is not the shadow: there is none"


def test_server_refusal_undoes_the_change(beside: Command) -> None:
    beside("promote", "iris", "2", "--no-check")
    generation = beside.routes.generation
    version = add(beside.root, candidates.Crashing(0.5))
    refusal = beside.refusal("promote", "iris", version, "--no-check")
    assert f"refused version {version} at the gate contract: model 'iris' version {version} ended its process by signal" in refusal
    assert refusal.endswith("; the change is undone")
    assert (beside.routes.generation, beside.routes.aliases["production"]) == (generation + 2, "2")
    listed = beside("models")
    assert f"iris: version {version} was refused at the gate contract" in listed.stderr


def test_server_of_other_repository_is_unfollowed(alone: Command, beside: Command) -> None:
    elsewhere = Command(alone.root, beside.target)
    for _ in range(20):
        elsewhere("promote", "iris", "1", "--no-check", "--no-wait")
    result = elsewhere("promote", "iris", "2", "--no-check", "--json")
    assert json.loads(result.stdout)["server"] == "unfollowed"
