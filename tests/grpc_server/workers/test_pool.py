"""The pool under models that crash, hang, raise and leak: only the run that did it fails, and no worker is left over."""

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpc_server.calls.batcher import Batcher, Job
from grpc_server.calls.call import Call
from grpc_server.calls.refusal import Failure, Refusal
from grpc_server.errors import ModelError
from grpc_server.loading.preload import preload_formats
from grpc_server.rows.mixed_rows import Matrix, RequestRows
from grpc_server.store.repository import Repository
from grpc_server.workers.pool import Pool
from grpc_server.workers.worker_handle import ModelRaised, NoWorker, RunFailed, WorkerEnded, WorkerHung
from grpc_server.workers.worker_process import Origin
from tests.support.models.misbehaving import Action, Misbehaving, add, descendants, rows, until_gone
from tests.support.processes import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    root = tmp_path_factory.mktemp("pool") / "models"
    os.mkfifo(root.parent / "fifo")
    digest = add(Repository(root), Misbehaving(str(root.parent / "fifo")))
    preload_formats(root)
    return Origin(root, "wayward", "1", digest)


@pytest.fixture
def own(origin: Origin, tmp_path: Path) -> Origin:
    """Under a name of its own, so that a test can tell its workers from those of other tests."""
    (tmp_path / "own").symlink_to(origin.root / origin.name)
    return replace(origin, root=tmp_path, name="own")


@contextmanager
def pool_of(origin: Origin, *, workers: int = 1, seconds: float = 30.0, max_megabytes: int = 0) -> Iterator[Pool]:
    pool = Pool(origin, rows(Action.ANSWER), workers=workers, seconds=seconds, max_megabytes=max_megabytes)
    try:
        yield pool
    finally:
        pool.close(10.0)


@pytest.fixture(scope="module")
def pool(origin: Origin) -> Iterator[Pool]:
    """Two workers and a spare, for all that they survive."""
    with pool_of(origin, workers=2) as started:
        yield started


def run(pool: Pool, *actions: Action) -> Matrix:
    return pool.runners[0](rows(*actions))


def failure(pool: Pool, *actions: Action) -> RunFailed | None:
    try:
        run(pool, *actions)
    except RunFailed as failed:
        return failed
    return None


def pid(pool: Pool) -> int:
    return int(run(pool, Action.ANSWER_PID)[0, 0])


def until_whole(pool: Pool) -> None:
    """Another test may have taken the spare."""
    until(lambda: len(pool.idle) > len(pool.runners))


def workers_of(origin: Origin) -> list[int]:
    """Process ids."""
    return [pid for pid in descendants(os.getpid()) if is_worker(pid, origin)]


def is_worker(pid: int, origin: Origin) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text() == f"worker {origin.name}\n"
    return False


def test_threads_get_their_own_answers(pool: Pool) -> None:
    def answers(runner: Any, start: int) -> bool:
        return all(runner(rows(Action.ANSWER, value=value)).tolist() == [[value, 1 - value]] for value in range(start, start + 200))

    assert len(pool.runners) == 2
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(answers, pool.runners * 2, [0, 1_000, 2_000, 3_000]))


def test_lost_worker_is_replaced_without_spare(own: Origin) -> None:
    pool = Pool(own, rows(Action.ANSWER), workers=1, seconds=30.0, max_megabytes=0, spare=False)
    try:
        lost = pid(pool)
        assert workers_of(own) == [lost]
        assert isinstance(failure(pool, Action.EXIT), WorkerEnded)
        assert pid(pool) != lost
    finally:
        pool.close(10.0)


def test_raising_model_keeps_its_worker(pool: Pool) -> None:
    before = pid(pool)
    with pytest.raises(ModelRaised, match="ValueError"):
        run(pool, Action.RAISE)
    assert pid(pool) == before


def test_lost_worker_is_replaced_every_time(pool: Pool) -> None:
    seen = set()
    for _ in range(2):
        lost = pid(pool)
        seen.add(lost)
        with pytest.raises(WorkerEnded, match=r"worker \d+ of model 'wayward' version 1 ended during a run of 1 rows"):
            run(pool, Action.EXIT)
        assert pid(pool) != lost
    assert len(seen) == 2


def test_killed_idle_worker_is_replaced(pool: Pool, origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    until_whole(pool)
    lost, before = pid(pool), workers_of(origin)
    os.kill(lost, signal.SIGKILL)
    until(lambda: not set(workers_of(origin)) <= set(before))
    assert pid(pool) != lost
    assert f"worker {lost} of model 'wayward' version 1 ended with code -9; another is started" in caplog.text


def test_only_the_fatal_row_fails(pool: Pool) -> None:
    until_whole(pool)
    batcher = Batcher(pool.runners, max_rows=64, max_waiting=1_000)
    outcomes: list[RequestRows | Refusal] = []
    for action in [Action.ANSWER, Action.EXIT, Action.ANSWER, Action.ANSWER]:
        batcher.submit(Job(rows(action), Call("test", None), lambda outcome, _sure: outcomes.append(outcome), lambda: None))
    batcher.close(100)  # Starting the next worker takes long on a busy machine.
    answered = [outcome for outcome in outcomes if not isinstance(outcome, Refusal)]
    assert [np.asarray(outcome).tolist() for outcome in answered] == [[[0.25, 0.75]]] * 3
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Refusal)] == [Failure]


@pytest.fixture(scope="module")
def strict(origin: Origin) -> Iterator[Pool]:
    """One worker and a spare, under limits."""
    with pool_of(origin, seconds=1.0, max_megabytes=400) as started:
        yield started


def test_leaking_worker_is_replaced(strict: Pool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    until_whole(strict)  # A spare that comes later would be the next to run.
    first = pid(strict)
    for _ in range(8):
        assert run(strict, Action.LEAK).tolist() == [[0.25, 0.75]]
    until(lambda: pid(strict) != first)
    until_gone(first)
    assert f"worker {first} of model 'wayward' version 1 takes more than 400 MB and is replaced" in caplog.text
    assert "ended with code" not in caplog.text


def test_spare_replaces_hung_worker(strict: Pool, origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    until_whole(strict)
    hung, before = pid(strict), workers_of(origin)
    with pytest.raises(WorkerHung, match=f"worker {hung} of model 'wayward' version 1 did not answer within 1 s"):
        run(strict, Action.HANG)
    spare = pid(strict)
    assert spare != hung
    assert spare in before
    until_gone(hung)
    assert f"worker {hung} of model 'wayward' version 1 did not answer within 1 s and was killed" in caplog.text


def test_too_low_memory_limit_is_refused(own: Origin) -> None:
    with pytest.raises(ModelError, match=r"^worker_max_mb is 5, but a worker of model 'own' version 1 takes \d+ MB"):
        Pool(own, rows(Action.ANSWER), workers=2, seconds=30.0, max_megabytes=5)
    assert workers_of(own) == []


def test_pool_recovers_from_failed_starts(origin: Origin) -> None:
    file = origin.root / "wayward/1/model.joblib"
    whole = file.read_bytes()
    with pool_of(origin) as pool:
        file.write_bytes(b"")
        while not isinstance(failed := failure(pool, Action.EXIT), NoWorker):
            pass
        assert re.match(r"no worker of model 'wayward' version 1: .*model.joblib is not as it was added", str(failed))
        file.write_bytes(whole)
        while failure(pool, Action.ANSWER):
            pass


def test_lone_job_outlives_its_worker(own: Origin, fifo: Path) -> None:
    outcomes: list[RequestRows | Refusal] = []
    with pool_of(own) as pool:
        batcher = Batcher(pool.runners, max_rows=64, max_waiting=1_000)
        lost = pid(pool)
        batcher.submit(Job(rows(Action.WAIT), Call("test", None), lambda outcome, _sure: outcomes.append(outcome), lambda: None))
        with fifo.open("wb"):  # Opens once the model reads.
            os.kill(lost, signal.SIGKILL)
        while not outcomes:
            with suppress(OSError):  # Nobody reads yet.
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        batcher.close(10)
        assert pid(pool) != lost
    assert np.asarray(outcomes).tolist() == [[[0.25, 0.75]]]


@contextmanager
def waiting(pool: Pool, fifo: Path) -> Iterator[Future[Matrix]]:
    """A run that has begun and goes on to the end of the block."""
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(run, pool, Action.WAIT)
        with fifo.open("wb"):  # Opens once the model reads.
            yield answer


@pytest.fixture
def fifo(origin: Origin) -> Path:
    return origin.root.parent / "fifo"


def test_close_waits_for_runs(own: Origin, fifo: Path) -> None:
    with pool_of(own) as pool, ThreadPoolExecutor(1) as thread:
        with waiting(pool, fifo) as answer:
            started = workers_of(own)
            closing = thread.submit(pool.close, 20.0)
            while (failed := failure(pool, Action.ANSWER)) is None:
                pass
            assert str(failed) == "no worker of model 'own' version 1: the pool is closed"
            assert not closing.done()
        assert answer.result(20).tolist() == [[0.25, 0.75]]
        closing.result(20)
        assert not any(Path(f"/proc/{pid}").exists() for pid in started)  # Not as a zombie either.
        assert workers_of(own) == []


def test_close_kills_long_runs(own: Origin, fifo: Path) -> None:
    with pool_of(own) as pool, waiting(pool, fifo) as answer:
        pool.close(0.1)
        assert isinstance(answer.exception(20), WorkerEnded)
        assert workers_of(own) == []
