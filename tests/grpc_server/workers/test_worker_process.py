"""A worker process on its own: its answers, what it survives, and what ends it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpc_server.errors import ModelError
from grpc_server.loading.preload import preload_formats
from grpc_server.store.repository import Repository
from grpc_server.workers.model_process import THREADS
from grpc_server.workers.worker_handle import ModelRaised, WorkerEnded, WorkerHandle
from grpc_server.workers.worker_process import Origin, load_version
from tests.conftest import ROOT
from tests.support.models.misbehaving import Action, CallsOnLoad, Misbehaving, add, descendants, rows, until_gone

pytestmark = pytest.mark.slow

SAMPLE = rows(Action.ANSWER)
SECONDS = 30.0


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    root = tmp_path_factory.mktemp("worker") / "models"
    digest = add(Repository(root), Misbehaving())
    preload_formats(root)
    return Origin(root, "wayward", "1", digest)


@pytest.fixture(scope="module")
def worker(origin: Origin) -> Iterator[WorkerHandle]:
    """One worker for all that it survives."""
    handle = WorkerHandle(origin, dict.fromkeys(THREADS, "3"))
    handle.start(SAMPLE)
    yield handle
    handle.close()


def test_worker_answers_as_the_model(worker: WorkerHandle) -> None:
    asked = np.random.default_rng(0).random((5_000, 2)) * [0, 1]
    assert np.array_equal(worker.run(asked, SECONDS), Misbehaving().predict_proba(asked))


def test_worker_has_its_thread_limit(worker: WorkerHandle) -> None:
    assert worker.run(rows(Action.ANSWER_THREADS), SECONDS)[0, 0] == 3


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (Action.RAISE, "ValueError: \\udc80 no such flower\n"),
        (Action.RAISE_SYSTEM_EXIT, "SystemExit: enough\n"),
        (Action.RAISE_INTERRUPT, "KeyboardInterrupt\n"),
        (Action.RAISE_MEMORY_ERROR, "MemoryError\n"),
        (Action.FLATTEN, "the model answered 1 rows with shape (1,)"),
    ],
)
def test_worker_survives_what_a_model_raises(worker: WorkerHandle, action: Action, says: str) -> None:
    with pytest.raises(ModelRaised) as raised:
        worker.run(rows(action), SECONDS)
    assert str(raised.value).endswith(says)
    assert worker.run(rows(Action.ANSWER_PID), SECONDS)[0, 0] == worker.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_worker_ignores_signals_for_the_server(worker: WorkerHandle, number: int) -> None:
    os.kill(worker.pid, number)
    assert worker.run(rows(Action.ANSWER_PID), SECONDS)[0, 0] == worker.pid


PRINTING = """
import sys
from pathlib import Path
from grpc_server.workers.worker_handle import WorkerHandle
from grpc_server.workers.worker_process import Origin
from tests.support.models.misbehaving import Action, rows

worker = WorkerHandle(Origin(Path(sys.argv[1]), *sys.argv[2:]))
worker.start(rows(Action.ANSWER))
worker.run(rows(Action.PRINT), 30.0)
worker.end()
sys.exit(worker.wait())
"""


def test_model_prints_to_stderr(origin: Origin) -> None:
    command = [sys.executable, "-c", PRINTING, str(origin.root), origin.name, origin.version, origin.digest]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "printed by a model\n")


def test_dismissed_worker_ends_with_code_0(origin: Origin) -> None:
    worker = WorkerHandle(origin)
    worker.start(SAMPLE)
    worker.end()
    assert worker.wait() == 0
    with pytest.raises(WorkerEnded):
        worker.run(SAMPLE, SECONDS)
    worker.close()


@pytest.mark.parametrize("action", [None, Action.EXIT])
def test_models_children_end_with_the_worker(origin: Origin, action: Action | None) -> None:
    handle = WorkerHandle(origin)
    handle.start(SAMPLE)
    started = int(handle.run(rows(Action.START_PROCESS), SECONDS)[0, 0])
    if action is None:
        handle.end()
    else:
        with pytest.raises(WorkerEnded):
            handle.run(rows(action), SECONDS)
    handle.wait()
    until_gone(started)
    handle.close()


GOLDEN = b'{"features": {"action": 0, "value": 0.25}, "probabilities": {"no": 0.5, "yes": 0.5}}'


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
def test_worker_loads_only_what_was_verified(tmp_path: Path, golden: bytes, digest: str | None, says: str) -> None:
    recorded = add(Repository(tmp_path / "models"), Misbehaving(), golden)
    with pytest.raises(ModelError, match=says):
        load_version(Origin(tmp_path / "models", "wayward", "1", digest or recorded))


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        ((os._exit, (4,)), r"^worker \d+ of model 'wayward' version 1 ended with code 4 while it started$"),
        ((sys.exit, ("enough",)), "^SystemExit while a worker loaded the model; the log has the trace$"),
    ],
)
def test_exit_while_loading_is_refused(tmp_path: Path, ending: Any, says: str) -> None:
    digest = add(Repository(tmp_path / "models"), CallsOnLoad(ending))
    handle = WorkerHandle(Origin(tmp_path / "models", "wayward", "1", digest))
    with pytest.raises(ModelError, match=says):
        handle.start(SAMPLE)
    handle.close()


PARENT = """
import sys
from pathlib import Path
from typing import Any
from grpc_server.workers.pool import Pool
from grpc_server.workers.worker_process import Origin
from tests.conftest import ROOT
from tests.support.models.misbehaving import Action, rows

pool = Pool(Origin(Path(sys.argv[1]), *sys.argv[2:]), rows(Action.ANSWER), workers=2, seconds=600.0, max_megabytes=0)
pool.runners[0](rows(Action.PRINT, Action.HANG))
"""


def test_no_worker_outlives_a_killed_server(origin: Origin) -> None:
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
