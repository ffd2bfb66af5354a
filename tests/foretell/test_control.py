"""The control service on its Unix sockets and over TCP, and what commands make of the servers that they find there."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner, Result

from contract.contract import Contract, load_control
from contract.errors import SetupError
from foretell.cli import app
from grpc_server import peers
from grpc_server.control_server import check_control
from grpc_server.repository import Repository
from grpc_server.route_store import RouteStore
from grpc_server.settings import ServerSettings
from tests.conftest import PROTOS
from tests.grpc_server import candidates
from tests.grpc_server.candidates import add, add_steady
from tests.processes import foretell


@pytest.fixture(scope="module")
def control() -> Contract:
    return load_control()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A repository of two versions, and the TCP address of the control service of two processes that follow it."""
    root = tmp_path_factory.mktemp("models")
    add_steady(root, 2)
    with foretell(root, "--processes", "2", "--control", "127.0.0.1:0") as running:
        (line,) = [line for line in running.banner.splitlines() if line.startswith("  control ")]
        yield root, line.split()[1]


def ask(control: Contract, address: str, method: str, **fields: Any) -> Any:
    (service,) = control.services
    (asked,) = [each for each in service.methods if each.name == method]
    with grpc.insecure_channel(address) as channel:
        answer = channel.unary_unary(asked.path)(asked.request(**fields).SerializeToString(), timeout=60, wait_for_ready=True)
    return asked.response.FromString(answer)


def command(root: Path, *arguments: str) -> Result:
    options = ["--models", str(root)] + (["--protos", str(PROTOS)] if arguments[0] == "promote" else [])
    return CliRunner().invoke(app, [*arguments, *options])


def test_all_processes_give_the_verdict_of_a_command(served: tuple[Path, str]) -> None:
    root, _address = served
    result = command(root, "promote", "iris", "1", "--no-check", "--json")
    told = json.loads(result.stdout)
    assert (told["server"], len(set(told["servers"]))) == ("served", 2)
    version = add(root, candidates.Crashing(0.5))
    refusal = command(root, "promote", "iris", version, "--no-check")
    assert isinstance(refusal.exception, SetupError)
    assert "(process " in str(refusal.exception)
    assert str(refusal.exception).endswith("; the change is undone")
    assert json.loads(command(root, "models", "--json").stdout)["models"][0]["version"] == "1"


def test_a_program_changes_what_answers_over_tcp_and_over_a_socket(served: tuple[Path, str], control: Contract) -> None:
    root, address = served
    changed = ask(control, address, "Promote", name="iris", version="2", wish={"who": "ci", "why": "May"})
    assert (changed.outcome, changed.aliases["production"], len(changed.servers)) == ("served", "2", 2)
    with peers.address(peers.peers(root / ".control")[0].socket) as socket:
        assert ask(control, socket, "Rollback", name="iris").done == "production of iris is version 1 again"
        history = ask(control, socket, "History", name="iris")
    promoted, rolled_back = history.changes[-2:]
    assert (promoted.who, promoted.why, promoted.to) == ("ci (control)", "May", "2")
    assert (rolled_back.what, rolled_back.to) == ("rollback", "1")


@pytest.mark.parametrize(
    ("method", "fields", "code"),
    [
        ("Promote", {"name": "iris", "version": "x"}, grpc.StatusCode.INVALID_ARGUMENT),
        ("Canary", {"name": "iris", "version": "2", "share": 1.5}, grpc.StatusCode.INVALID_ARGUMENT),
        ("Promote", {"name": "iris", "version": "99"}, grpc.StatusCode.NOT_FOUND),
        ("History", {"name": "rose"}, grpc.StatusCode.NOT_FOUND),
        ("Rollback", {"name": "iris", "alias": "staging"}, grpc.StatusCode.FAILED_PRECONDITION),
        ("Promote", {"name": "iris", "version": "2", "wish": {"generation": 0}}, grpc.StatusCode.ABORTED),
    ],
)
def test_what_cannot_be_is_refused_with_its_status(
    served: tuple[Path, str], control: Contract, method: str, fields: dict[str, Any], code: grpc.StatusCode
) -> None:
    before = RouteStore(Repository(served[0])).read("iris")
    with pytest.raises(grpc.RpcError) as refusal:
        ask(control, served[1], method, **fields)
    assert refusal.value.code() is code  # type: ignore[attr-defined]
    assert RouteStore(Repository(served[0])).read("iris") == before


def test_the_sockets_are_their_owner_s_and_each_process_has_one(served: tuple[Path, str]) -> None:
    folder = served[0] / ".control"
    found = peers.peers(folder)
    assert len(found) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(peer.socket.stat().st_mode) for peer in found} == {0o600}


def test_what_a_dead_server_left_is_no_server(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    with peers.joined(folder) as (_socket, lock):
        peers.introduce(lock, "the first")
        (peer,) = peers.peers(folder)
        assert peers.alive(peer)
    assert peers.peers(folder) == []
    assert not peers.alive(peer)


@pytest.mark.parametrize("address", ["0.0.0.0:7000", "[::]:7000", "models.example:7000"])
def test_control_is_not_open_to_a_network_without_tls(address: str) -> None:
    with pytest.raises(SetupError, match="would let the network change what answers"):
        check_control(ServerSettings(control=address))
    check_control(ServerSettings(control="127.0.0.1:7000"))
