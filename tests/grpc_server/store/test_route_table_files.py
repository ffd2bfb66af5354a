"""The record on disk: durable, changed by one writer at a time, and never half of one."""

import multiprocessing
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grpc_server.errors import ChangeRefused, GenerationConflict, ModelError, StateUnreadable
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, Attribution, RouteTable
from grpc_server.store.route_table_files import ROUTES, RouteTableFiles
from tests.support.processes import ROOT

AUTHOR = Attribution("kim", "", datetime(2026, 1, 2, tzinfo=UTC))
WRITERS, WRITES = 8, 10


@pytest.fixture
def store(tmp_path: Path) -> RouteTableFiles:
    (tmp_path / "iris").mkdir()
    return RouteTableFiles(Repository(tmp_path))


def promote(store: RouteTableFiles, version: str) -> RouteTable:
    return store.change("iris", lambda routes: routes.promote(version, PRODUCTION, AUTHOR))


def test_a_model_without_a_record_is_at_generation_zero(store: RouteTableFiles) -> None:
    assert store.read("iris") == RouteTable()
    assert store.stamp("iris") is None


def test_what_was_written_is_read_and_has_another_stamp(store: RouteTableFiles, tmp_path: Path) -> None:
    stamps = {store.stamp("iris")}
    for version in "123":
        assert promote(store, version) == store.read("iris")
        stamps.add(store.stamp("iris"))
    assert len(stamps) == 4
    assert sorted(os.listdir(tmp_path / "iris")) == [".routes.lock", ROUTES]


def test_no_two_records_have_one_stamp_though_the_clock_stands_still(store: RouteTableFiles, tmp_path: Path) -> None:
    promote(store, "1")
    ahead = 2**32 * 10**9  # For the clock, each change comes before the last one.
    os.utime(tmp_path / "iris" / ROUTES, ns=(ahead, ahead))
    times = [ahead]
    for version in "23":
        promote(store, version)
        times.append((tmp_path / "iris" / ROUTES).stat().st_mtime_ns)
    assert times == sorted(set(times))  # Inode number and size may repeat.


def test_a_writer_that_comes_late_is_told_so(store: RouteTableFiles) -> None:
    seen = promote(store, "1")
    promote(store, "2")
    with pytest.raises(GenerationConflict, match="the route table of iris is at generation 2, not 1: read it again"):
        store.replace("iris", seen.promote("3", PRODUCTION, AUTHOR))
    assert store.read("iris").aliases == {PRODUCTION: "2"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("[]", "no route table"),
        ('{"generation": 3}', "not consecutive"),
        ("\udcff", "Invalid"),
    ],
)
def test_a_file_that_is_no_record_is_refused_and_not_overwritten(
    store: RouteTableFiles, tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "iris" / ROUTES
    file.write_text(content, errors="surrogateescape")
    for attempt in (lambda: store.read("iris"), lambda: promote(store, "1")):
        with pytest.raises(StateUnreadable, match=says):
            attempt()
    assert file.read_text(errors="surrogateescape") == content


def test_a_model_that_is_not_there_and_a_folder_that_cannot_be_written_are_named(store: RouteTableFiles, tmp_path: Path) -> None:
    with pytest.raises(ChangeRefused, match="there is no model 'rose'"):
        store.change("rose", lambda routes: routes.promote("1", PRODUCTION, AUTHOR))
    (tmp_path / "iris" / ".routes.lock").mkdir()
    with pytest.raises(ModelError, match=r"cannot write to .*iris: Is a directory"):
        promote(store, "1")


def test_a_change_that_is_refused_leaves_the_record_and_no_other_file(store: RouteTableFiles, tmp_path: Path) -> None:
    promote(store, "1")
    with pytest.raises(ChangeRefused):
        store.change("iris", lambda routes: routes.rollback(PRODUCTION, AUTHOR))
    assert store.read("iris").generation == 1
    assert sorted(os.listdir(tmp_path / "iris")) == [".routes.lock", ROUTES]


def compare_and_set(root: Path, writer: int, start: object, won: object) -> None:
    """Write until WRITES of this writer's were accepted, by what it has read itself."""
    store = RouteTableFiles(Repository(root))
    start.wait()  # type: ignore[attr-defined]
    accepted = 0
    while accepted < WRITES:
        seen = store.read("iris")
        try:
            store.replace("iris", seen.promote(str(1 + writer), PRODUCTION, AUTHOR))
        except GenerationConflict:
            continue
        accepted += 1
        won.put((seen.generation + 1, str(1 + writer)))  # type: ignore[attr-defined]


def test_of_eight_writers_one_wins_each_generation_and_the_history_is_linear(store: RouteTableFiles, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, won = context.Barrier(WRITERS), context.Queue()
    writers = [context.Process(target=compare_and_set, args=(tmp_path, number, start, won)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    wins = dict(won.get(timeout=60) for _ in range(WRITERS * WRITES))
    for writer in writers:
        writer.join(60)
    assert sorted(wins) == list(range(1, WRITERS * WRITES + 1))
    routes = store.read("iris")
    assert [(change.generation, change.after) for change in routes.history] == sorted(wins.items())
    froms = [change.before for change in routes.history]
    assert froms == [None, *(change.after for change in routes.history[:-1])]


WRITING = {"record-written": "1", "record-synced": "1", "record-replaced": "2", "record-durable": "2"}
"""Places on the way to a durable record, and the version that is on it after a crash there."""


@pytest.mark.slow
@pytest.mark.parametrize(("place", "survives"), WRITING.items())
def test_a_writer_that_is_killed_leaves_the_old_record_or_the_new(
    store: RouteTableFiles, tmp_path: Path, place: str, survives: str
) -> None:
    promote(store, "1")
    script = (
        "import sys; from pathlib import Path; from tests.grpc_server.store.test_route_table_files import *\n"
        "promote(RouteTableFiles(Repository(Path(sys.argv[1]))), '2')"
    )
    environment = os.environ | {"FORETELL_FAILPOINT": place, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert store.read("iris").aliases == {PRODUCTION: survives}
    assert promote(store, "3").generation == int(survives) + 1  # And the lock is free.
