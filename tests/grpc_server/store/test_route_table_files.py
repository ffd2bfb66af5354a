"""`routes.json` on disk: durable and atomic changes, one writer at a time, invalid files."""

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
from grpc_server.store.route_table_files import ANSWERED, ROUTES, RouteTableFiles
from tests.support.processes import ROOT

AUTHOR = Attribution("kim", "", datetime(2026, 1, 2, tzinfo=UTC))
WRITERS, WRITES = 8, 10


@pytest.fixture
def store(tmp_path: Path) -> RouteTableFiles:
    (tmp_path / "iris").mkdir()
    return RouteTableFiles(Repository(tmp_path))


def replace(store: RouteTableFiles, routes: RouteTable) -> None:
    """Writes `routes` if the file holds the generation before."""
    store.change("iris", lambda _present: routes)


def promote(store: RouteTableFiles, version: str) -> RouteTable:
    return store.change("iris", lambda routes: routes.promote(version, PRODUCTION, AUTHOR))


def test_missing_file_is_generation_zero(store: RouteTableFiles) -> None:
    assert store.read("iris") == RouteTable()
    assert store.stamp("iris") is None


def test_each_write_changes_the_stamp(store: RouteTableFiles, tmp_path: Path) -> None:
    stamps = {store.stamp("iris")}
    for version in "123":
        assert promote(store, version) == store.read("iris")
        stamps.add(store.stamp("iris"))
    assert len(stamps) == 4
    assert sorted(os.listdir(tmp_path / "iris")) == [".routes.lock", ROUTES]


def test_stamps_differ_without_clock_progress(store: RouteTableFiles, tmp_path: Path) -> None:
    promote(store, "1")
    ahead = 2**32 * 10**9  # The clock is behind the mtime of each change.
    os.utime(tmp_path / "iris" / ROUTES, ns=(ahead, ahead))
    times = [ahead]
    for version in "23":
        promote(store, version)
        times.append((tmp_path / "iris" / ROUTES).stat().st_mtime_ns)
    assert times == sorted(set(times))  # Inode number and size may repeat.


def test_late_writer_gets_conflict(store: RouteTableFiles) -> None:
    earlier = promote(store, "1")
    promote(store, "2")
    with pytest.raises(GenerationConflict, match="the route table of iris is at generation 2, not 1: read it again"):
        replace(store, earlier.promote("3", PRODUCTION, AUTHOR))
    assert store.read("iris").aliases == {PRODUCTION: "2"}


def test_production_is_recorded_once(store: RouteTableFiles) -> None:
    for version in "12":
        assert store.ensure_production("iris", version, "the first version").aliases == {PRODUCTION: "1"}
    assert store.read("iris").generation == 1


@pytest.mark.parametrize("content", ["", "[]", "\udcff", '{"production": 2'])
def test_unreadable_note_counts_as_none(store: RouteTableFiles, tmp_path: Path, content: str) -> None:
    store.note_answered("iris", {PRODUCTION: "2"})
    assert store.answered("iris") == {PRODUCTION: "2"}
    (tmp_path / "iris" / ANSWERED).write_text(content, errors="surrogateescape")
    assert store.answered("iris") == {}


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
def test_invalid_file_is_refused_and_kept(store: RouteTableFiles, tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "iris" / ROUTES
    file.write_text(content, errors="surrogateescape")
    for attempt in (lambda: store.read("iris"), lambda: promote(store, "1")):
        with pytest.raises(StateUnreadable, match=says):
            attempt()
    assert file.read_text(errors="surrogateescape") == content


def test_missing_model_and_unwritable_folder_are_named(store: RouteTableFiles, tmp_path: Path) -> None:
    with pytest.raises(ChangeRefused, match="there is no model 'rose'"):
        store.change("rose", lambda routes: routes.promote("1", PRODUCTION, AUTHOR))
    (tmp_path / "iris" / ".routes.lock").mkdir()
    with pytest.raises(ModelError, match=r"cannot write to .*iris: Is a directory"):
        promote(store, "1")


def test_refused_change_leaves_files_alone(store: RouteTableFiles, tmp_path: Path) -> None:
    promote(store, "1")
    with pytest.raises(ChangeRefused):
        store.change("iris", lambda routes: routes.rollback(PRODUCTION, AUTHOR))
    assert store.read("iris").generation == 1
    assert sorted(os.listdir(tmp_path / "iris")) == [".routes.lock", ROUTES]


def compare_and_set(root: Path, writer: int, start: object, won: object) -> None:
    """Replaces the file until WRITES of its compare-and-set attempts have succeeded."""
    store = RouteTableFiles(Repository(root))
    start.wait()  # type: ignore[attr-defined]
    accepted = 0
    while accepted < WRITES:
        routes = store.read("iris")
        try:
            replace(store, routes.promote(str(1 + writer), PRODUCTION, AUTHOR))
        except GenerationConflict:
            continue
        accepted += 1
        won.put((routes.generation + 1, str(1 + writer)))  # type: ignore[attr-defined]


def test_one_writer_wins_each_generation(store: RouteTableFiles, tmp_path: Path) -> None:
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
"""Failpoints of a write, and the version in the file after a crash there."""


@pytest.mark.slow
@pytest.mark.parametrize(("failpoint", "survives"), WRITING.items())
def test_killed_writer_leaves_old_or_new_file(store: RouteTableFiles, tmp_path: Path, failpoint: str, survives: str) -> None:
    promote(store, "1")
    script = (
        "import sys; from pathlib import Path; from tests.grpc_server.store.test_route_table_files import *\n"
        "promote(RouteTableFiles(Repository(Path(sys.argv[1]))), '2')"
    )
    environment = os.environ | {"FORETELL_FAILPOINT": failpoint, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert store.read("iris").aliases == {PRODUCTION: survives}
    assert promote(store, "3").generation == int(survives) + 1  # The lock is free.
