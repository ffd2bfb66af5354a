"""The record says what served: what becomes production, what a rollback and a start go back to, and what refusals undo."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grpc_server.changes.route_changes import ChangeRequest, RouteChanger
from grpc_server.checks.add_model import add_model
from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelError
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, RouteTable
from grpc_server.store.route_table_files import ANSWERED, ROUTES, RouteTableFiles
from grpc_server.versions.startup import open_served_model
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models.candidates import add_steady, graph, promote
from tests.support.servers.faulty_servers import Faults, FaultyLoader, LocalServers, RunningModel


def add(root: Path) -> str:
    (root / "model.onnx").write_bytes(graph(0.1))
    return add_model(Repository(root), root / "model.onnx", "iris", COLUMNS, classes=CLASSES).production


def routes(root: Path) -> RouteTable:
    return RouteTableFiles(Repository(root)).read("iris")


@contextmanager
def serving(root: Path, faults: Faults | None = None, names: str = "a") -> Iterator[dict[str, RunningModel]]:
    """Servers with these names, each a letter, on one repository."""
    running: dict[str, RunningModel] = {}
    try:
        for name in names:
            served = open_served_model(FaultyLoader(root, name, Faults() if faults is None else faults))
            if not running:
                served.record_fallback()
            running[name] = RunningModel(name, served)
            running[name].settle()
        yield running
    finally:
        for server in running.values():
            server.served.close(10)


def changer(root: Path, running: dict[str, RunningModel], *, wait: bool = True) -> RouteChanger:
    return RouteChanger("iris", ServerSettings(models=root), LocalServers(running), ChangeRequest("kim", check=False, wait=wait))


def test_first_version_is_production_and_later_ones_wait(tmp_path: Path) -> None:
    assert [add(tmp_path) for _ in range(3)] == ["1", "1", "1"]
    with serving(tmp_path) as running:
        assert running["a"].answering == "1"
        add(tmp_path)
        running["a"].settle()
        assert (running["a"].answering, routes(tmp_path).generation) == ("1", 1)


def test_first_rollback_goes_to_what_answered(tmp_path: Path) -> None:
    for _ in range(3):
        add(tmp_path)
    with serving(tmp_path) as running:
        changer(tmp_path, running).promote("3", PRODUCTION)
        assert routes(tmp_path).history[-1].before == "1"
        changer(tmp_path, running).rollback(PRODUCTION)
        assert running["a"].answering == "1"


def remove(file: Path) -> None:
    file.unlink()


def garble(file: Path) -> None:
    file.write_bytes(b"{}}")


def lock(file: Path) -> None:
    file.unlink()
    (file.parent / ".routes.lock").unlink(missing_ok=True)
    (file.parent / ".routes.lock").mkdir()  # As in a read-only repository, for root too: no change can be written.


@pytest.mark.parametrize(("harm", "recorded"), [(remove, {PRODUCTION: "1"}), (garble, None), (lock, {})])
def test_start_without_record_serves_what_answered_last(
    tmp_path: Path, harm: Callable[[Path], None], recorded: dict[str, str] | None
) -> None:
    for _ in range(2):
        add(tmp_path)
    with serving(tmp_path):
        pass
    harm(tmp_path / "iris" / ROUTES)
    with serving(tmp_path) as running:
        assert running["a"].answering == "1"
        if recorded is None:
            assert running["a"].served.read_error.endswith("restore it from a copy")
        else:
            assert routes(tmp_path).aliases == recorded


@pytest.mark.parametrize("running_too", [False, True])
def test_older_repository_gets_a_record_from_its_server(tmp_path: Path, running_too: bool) -> None:
    add_steady(tmp_path, 3)
    assert not (tmp_path / "iris" / ROUTES).exists()
    with serving(tmp_path) as running:
        if running_too:
            (tmp_path / "iris" / ROUTES).unlink()
            running["a"].settle()
        assert routes(tmp_path).aliases == {PRODUCTION: "3"}


def test_word_of_a_server_counts_where_it_cannot_write(tmp_path: Path) -> None:
    add_steady(tmp_path, 2)
    (tmp_path / "iris" / ".routes.lock").mkdir()
    (tmp_path / "iris" / ANSWERED).mkdir()
    with serving(tmp_path) as running:
        add_steady(tmp_path, 1)
        assert running["a"].answering == "2"
        (tmp_path / "iris" / ".routes.lock").rmdir()  # The command may write what the server may not.
        changer(tmp_path, running).promote("3", PRODUCTION)
        assert [(change.before, change.after) for change in routes(tmp_path).history] == [(None, "2"), ("2", "3")]
        changer(tmp_path, running).rollback(PRODUCTION)
        assert running["a"].answering == "2"


@pytest.mark.parametrize("gate", [*Gate])
def test_start_goes_back_and_says_so(tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        add(tmp_path)
    with serving(tmp_path) as running:
        changer(tmp_path, running).promote("2", PRODUCTION)
        changer(tmp_path, running).promote("3", PRODUCTION)
    faults = Faults({("a", "3"): gate, ("b", "3"): gate})
    with caplog.at_level(logging.ERROR), serving(tmp_path, faults, "ab") as running:
        assert [server.answering for server in running.values()] == ["2", "2"]
        assert (
            f"iris: version 3 is refused at the gate {gate}: version 3 is broken on a; version 2 answers, as before it"
            in caplog.text
        )
        assert (routes(tmp_path).history[-1].before, routes(tmp_path).aliases) == ("3", {PRODUCTION: "2"})
        changer(tmp_path, running).rollback(PRODUCTION)
        assert [server.answering for server in running.values()] == ["1", "1"]


def test_start_that_no_version_survives_names_all(tmp_path: Path) -> None:
    for _ in range(2):
        add(tmp_path)
    with serving(tmp_path) as running:
        changer(tmp_path, running).promote("2", PRODUCTION)
    faults = Faults({("a", "1"): Gate.DIGEST, ("a", "2"): Gate.LOAD})
    with pytest.raises(ModelError, match=r"^model 'iris' version 2: version 2 is broken on a \(gate load; refused too: 1\)$"):
        open_served_model(FaultyLoader(tmp_path, "a", faults))


@pytest.mark.parametrize(
    ("refusing", "outcome", "answering", "then"),
    [
        ("ab", "; the change is undone: ", "3", "1"),
        ("a", "; b did not: ", "2", "1"),
        ("b", "; a did not: ", "2", "1"),
    ],
)
def test_rollback_that_every_server_refuses_is_undone(
    tmp_path: Path, refusing: str, outcome: str, answering: str, then: str
) -> None:
    for _ in range(3):
        add(tmp_path)
    faults = Faults()
    with serving(tmp_path, faults, "ab") as running:
        changer(tmp_path, running).promote("2", PRODUCTION)
        changer(tmp_path, running).promote("3", PRODUCTION)
        faults.update({(server, "2"): Gate.CONTRACT for server in refusing})
        with pytest.raises(ModelError) as refusal:
            changer(tmp_path, running).rollback(PRODUCTION)
        assert f"{refusing[0]} refused version 2 at the gate contract: version 2 is broken on {refusing[0]}" in str(refusal.value)
        assert outcome in str(refusal.value)
        assert routes(tmp_path).aliases == {PRODUCTION: answering}
        changer(tmp_path, running).rollback(PRODUCTION)
        assert [server.answering for server in running.values()] == [then, then]


def test_promotions_without_a_server_are_no_rollback_targets(tmp_path: Path) -> None:
    for _ in range(4):
        add(tmp_path)
    with serving(tmp_path) as running:
        changer(tmp_path, running).promote("2", PRODUCTION)
    for version in "34":
        changer(tmp_path, {}).promote(version, PRODUCTION)
    assert [change.before for change in routes(tmp_path).history] == [None, "1", "2", "2"]
    with serving(tmp_path) as running:
        assert running["a"].answering == "4"
        changer(tmp_path, running).rollback(PRODUCTION)
        assert running["a"].answering == "2"


@pytest.mark.parametrize("number", ["record-written", "record-synced", "record-replaced", "record-durable"])
def test_killed_command_leaves_a_table_to_start_from(tmp_path: Path, number: str) -> None:
    """Of a promotion; tests/grpc_server/store/test_route_table_files.py kills its writer at each step."""
    add(tmp_path)
    promote(tmp_path, "1")
    process = os.fork()
    if not process:
        os.environ["FORETELL_FAILPOINT"] = number
        promote(tmp_path, "1", "staging")
    assert os.waitpid(process, 0)[1] == 9
    with serving(tmp_path) as running:
        assert running["a"].answering == "1"
