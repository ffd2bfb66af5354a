"""A worker process on its own: what it answers, what it survives, and what ends it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpc_server.errors import ModelError
from grpc_server.store.repository import Repository
from grpc_server.workers.fork_server import THREADS, ForkServer
from grpc_server.workers.worker_handle import ModelRaised, Origin, WorkerEnded, WorkerHandle
from grpc_server.workers.worker_process import load_version
from tests.conftest import ROOT
from tests.support.models.misbehaving import Deed, Explosive, Wayward, add, descendants, rows, until_gone

SAMPLE = rows(Deed.ANSWER)
SECONDS = 30.0


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    root = tmp_path_factory.mktemp("worker") / "models"
    return Origin(root, "wayward", "1", add(Repository(root), Wayward()))


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    with closing(ForkServer("tests", environment=dict.fromkeys(THREADS, "3") | os.environ)) as server:
        yield server


@pytest.fixture(scope="module")
def worker(origin: Origin, forks: ForkServer) -> Iterator[WorkerHandle]:
    """One worker for all that it survives."""
    child = WorkerHandle(origin, forks)
    child.start(SAMPLE)
    yield child
    ended(child)


def ended(child: WorkerHandle) -> int:
    """Kill it; its exit code."""
    child.kill()
    code = child.wait()
    child.close()
    return code


def test_a_worker_answers_with_the_models_own_numbers(worker: WorkerHandle) -> None:
    asked = np.random.default_rng(0).random((5_000, 2)) * [0, 1]
    assert np.array_equal(worker.run(asked, SECONDS), Wayward().predict_proba(asked))


def test_a_worker_computes_with_its_share_of_the_cores(worker: WorkerHandle) -> None:
    assert worker.run(rows(Deed.SAY_THREADS), SECONDS)[0, 0] == float(os.environ.get("OMP_NUM_THREADS", "3"))


@pytest.mark.parametrize(
    ("deed", "says"),
    [
        (Deed.RAISE, "ValueError: \\udc80 no such flower\n"),
        (Deed.RAISE_SYSTEM_EXIT, "SystemExit: enough\n"),
        (Deed.RAISE_INTERRUPT, "KeyboardInterrupt\n"),
        (Deed.RAISE_MEMORY_ERROR, "MemoryError\n"),
        (Deed.FLATTEN, "the model answered 1 rows with shape (1,)"),
    ],
)
def test_whatever_a_model_raises_is_told_and_the_worker_lives_on(worker: WorkerHandle, deed: Deed, says: str) -> None:
    with pytest.raises(ModelRaised) as raised:
        worker.run(rows(deed), SECONDS)
    assert str(raised.value).endswith(says)
    assert worker.run(rows(Deed.SAY_PID), SECONDS)[0, 0] == worker.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_for_the_server_are_not_for_its_workers(worker: WorkerHandle, number: int) -> None:
    os.kill(worker.pid, number)
    assert worker.run(rows(Deed.SAY_PID), SECONDS)[0, 0] == worker.pid


def test_a_worker_prints_to_the_log_and_ends_by_itself_once_it_is_told(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    with closing(ForkServer("tests")) as forks:
        child = WorkerHandle(origin, forks)
        child.start(SAMPLE)
        child.run(rows(Deed.PRINT), SECONDS)
        child.end()
        assert child.wait() == 0
        assert capfd.readouterr() == ("", "printed by a model\n")
        with pytest.raises(WorkerEnded):
            child.run(SAMPLE, SECONDS)
        ended(child)


@pytest.mark.parametrize("deed", [None, Deed.EXIT])
def test_what_a_model_has_started_ends_with_its_worker(origin: Origin, forks: ForkServer, deed: Deed | None) -> None:
    child = WorkerHandle(origin, forks)
    child.start(SAMPLE)
    started = int(child.run(rows(Deed.START_PROCESS), SECONDS)[0, 0])
    if deed is None:
        child.end()
    else:
        with pytest.raises(WorkerEnded):
            child.run(rows(deed), SECONDS)
    child.wait()
    until_gone(started)
    ended(child)


GOLDEN = b'{"features": {"deed": 0, "value": 0.25}, "probabilities": {"no": 0.5, "yes": 0.5}}'


@pytest.mark.parametrize(
    ("golden", "digest", "says"),
    [
        (b"", "another", "^model 'wayward' version 1 in .* is another than when the server started: start the server again$"),
        (
            GOLDEN,
            None,
            "^model 'wayward' version 1 gives no 0.250000 for golden row 1, expected 0.500000; if the new value is right, "
            "add the model again with golden rows that expect it$",
        ),
    ],
)
def test_what_is_loaded_is_what_the_server_has_verified(tmp_path: Path, golden: bytes, digest: str | None, says: str) -> None:
    recorded = add(Repository(tmp_path / "models"), Wayward(), golden)
    with pytest.raises(ModelError, match=says):
        load_version(tmp_path / "models", "wayward", "1", digest or recorded, "[]")


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        ((os._exit, (4,)), r"^worker \d+ of model 'wayward' version 1 ended with code 4 while it started$"),
        ((sys.exit, ("enough",)), "^SystemExit while a worker loaded the model; the log has the trace$"),
    ],
)
def test_a_model_that_ends_the_process_that_loads_it_is_refused_in_one_line(
    tmp_path: Path, forks: ForkServer, ending: Any, says: str
) -> None:
    digest = add(Repository(tmp_path / "models"), Explosive(ending))
    child = WorkerHandle(Origin(tmp_path / "models", "wayward", "1", digest), forks)
    with pytest.raises(ModelError, match=says):
        child.start(SAMPLE)
    ended(child)


PARENT = """
import sys
from pathlib import Path
from typing import Any
from grpc_server.workers.worker_handle import Origin
from grpc_server.workers.pool import Pool
from tests.conftest import ROOT
from tests.support.models.misbehaving import Deed, rows

pool = Pool(Origin(Path(sys.argv[1]), *sys.argv[2:]), rows(Deed.ANSWER), workers=2, seconds=600.0, max_megabytes=0)
pool.runners[0](rows(Deed.PRINT, Deed.HANG))
"""


def test_no_worker_outlives_a_server_that_is_killed_not_even_one_that_hangs(origin: Origin) -> None:
    """One hangs with the interpreter held, one is idle, and the spare is just being started."""
    command = [sys.executable, "-c", PARENT, str(origin.root), origin.name, origin.version, origin.digest]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stderr is not None
        assert parent.stderr.readline() == "printed by a model\n"
        below = list(descendants(parent.pid))
        parent.kill()
        assert len(below) >= 3  # What forks, and two workers.
        for pid in below:
            until_gone(pid)
