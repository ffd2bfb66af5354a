"""The batcher under arrivals, cancellations, deadlines and failures in any order."""

import threading
import time
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpc_server.calls.batcher import Batcher, Job
from grpc_server.calls.call import Call
from grpc_server.calls.refusal import DeadlinePassed, Draining, Failure, ModelUnavailable, Overloaded, Refusal
from grpc_server.rows.mixed_rows import Matrix, RequestRows
from grpc_server.workers.worker_handle import NoWorker, WorkerEnded, WorkerHung
from tests.support.effort import tries
from tests.support.fakes import Held, even

POISON = -1.0


def doubled(rows: Matrix) -> Matrix:
    if (rows == POISON).any():
        raise ValueError("poison")
    return rows * 2


class Outcome:
    """A job, and the results that its callbacks got: None if it was dropped."""

    def __init__(self, value: float, rows: int, *, deadline: float | None = None) -> None:
        self.results: list[Matrix | Refusal | None] = []
        self.settled = threading.Event()
        self.job = Job(np.full((rows, 1), value), Call("test", deadline), self._done, self._dropped)

    def _done(self, outcome: RequestRows | Refusal, _sure: bool) -> None:
        self.results.append(outcome if isinstance(outcome, Refusal) else np.asarray(outcome))
        self.settled.set()

    def _dropped(self) -> None:
        self.results.append(None)
        self.settled.set()


def batcher(predict: Any = doubled, *, max_rows: int = 8, max_waiting: int = 1000) -> Batcher:
    return Batcher([predict], max_rows=max_rows, max_waiting=max_waiting)


jobs = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 3.0, POISON]), st.integers(1, 12), st.sampled_from(["wait", "cancel", "expired"])),
    max_size=30,
)


@settings(deadline=None, max_examples=tries(25, 1000))
@given(jobs, st.integers(1, 12))
def test_every_job_is_answered_once(cases: list[tuple[float, int, str]], max_rows: int) -> None:
    under_test = batcher(max_rows=max_rows)
    outcomes = [Outcome(value, rows, deadline=0.0 if fate == "expired" else None) for value, rows, fate in cases]
    for outcome, (_, _, fate) in zip(outcomes, cases, strict=True):
        if fate == "cancel":
            outcome.job.cancel()
        under_test.submit(outcome.job)
    under_test.close(10)
    for outcome, (value, rows, fate) in zip(outcomes, cases, strict=True):
        (result,) = outcome.results
        if fate == "cancel":
            assert result is None
        elif fate == "expired":
            assert isinstance(result, DeadlinePassed)
        elif value == POISON:
            assert isinstance(result, Failure)
        else:
            assert isinstance(result, np.ndarray)
            assert result.tolist() == [[value * 2]] * rows


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_without_worker_are_unavailable(jobs: int) -> None:
    runs: list[int] = []

    def no_worker(rows: Matrix) -> Matrix:
        runs.append(len(rows))
        raise NoWorker("no worker of model 'iris' version 1: it does not start")

    outcomes = [Outcome(1.0, 1) for _ in range(jobs)]
    run_together(no_worker, outcomes)
    assert runs == [jobs]
    for outcome in outcomes:
        (result,) = outcome.results
        assert isinstance(result, ModelUnavailable)
        assert (result.code, result.retry_after) == (grpc.StatusCode.UNAVAILABLE, 1.0)


def test_row_that_ends_workers_runs_twice() -> None:
    runs: list[int] = []

    def ending(rows: Matrix) -> Matrix:
        runs.append(len(rows))
        raise WorkerEnded("worker 1 ended during a run of 1 rows")

    outcome = Outcome(1.0, 1)
    run_together(ending, [outcome])
    assert runs == [1, 1]
    assert isinstance(outcome.results[0], Failure)


def test_expired_jobs_are_not_retried() -> None:
    late, patient = Outcome(1.0, 1), Outcome(2.0, 1)
    runs: list[int] = []

    def slow(rows: Matrix) -> Matrix:
        runs.append(len(rows))
        late.job.call.deadline = 0.0
        if len(rows) > 1:
            raise WorkerHung("worker 1 did not answer within 60 s and was killed")
        return rows

    run_together(slow, [late, patient])
    assert runs == [2, 1]
    assert isinstance(late.results[0], DeadlinePassed)
    assert np.asarray(patient.results[0]).tolist() == [[2.0]]


def run_together(predict: Any, outcomes: list[Outcome]) -> None:
    under_test = Batcher([predict], max_rows=8, max_waiting=1000, inline=True)
    for outcome in outcomes:
        under_test.submit(outcome.job)
    under_test.run_waiting()


@settings(deadline=None, max_examples=tries(10, 200))
@given(st.integers(2, 6), st.integers(1, 40))
def test_many_threads_submit_at_once(threads: int, each: int) -> None:
    under_test = batcher()
    outcomes = [[Outcome(float(thread * 1000 + i + 1), 1 + i % 3) for i in range(each)] for thread in range(threads)]

    def submit(mine: list[Outcome]) -> None:
        for outcome in mine:
            under_test.submit(outcome.job)

    workers = [threading.Thread(target=submit, args=(mine,)) for mine in outcomes]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    under_test.close(10)
    for outcome in (outcome for mine in outcomes for outcome in mine):
        (result,) = outcome.results
        assert isinstance(result, np.ndarray)
        assert result.tolist() == (outcome.job.rows * 2).tolist()


def test_job_above_max_rows_runs_alone() -> None:
    runs: list[int] = []
    with Held() as held:

        def predict(rows: Matrix) -> Matrix:
            runs.append(len(rows))
            return held(rows) if len(runs) == 1 else even(rows)

        under_test = batcher(predict, max_rows=4)
        outcomes = [Outcome(1.0, rows) for rows in (1, 3, 1, 9, 2, 2, 1)]
        under_test.submit(outcomes[0].job)
        held.entered.acquire()
        for outcome in outcomes[1:]:
            under_test.submit(outcome.job)
        assert under_test.waiting == 18
        held.go()
        under_test.close(10)
    assert runs == [1, 4, 9, 4, 1]


def test_full_queue_refuses_until_it_empties() -> None:
    with Held() as held:
        under_test = batcher(held, max_waiting=5)
        first, second, third = Outcome(1.0, 1), Outcome(1.0, 5), Outcome(1.0, 1)
        under_test.submit(first.job)
        held.entered.acquire()
        under_test.submit(second.job)
        with pytest.raises(Overloaded, match="5 rows are waiting"):
            under_test.submit(third.job)
        held.go()
        assert second.settled.wait(10)
        under_test.submit(third.job)
        under_test.close(10)
    assert all(len(outcome.results) == 1 for outcome in (first, second, third))


def test_large_jobs_get_half_the_queue() -> None:
    with Held() as held:
        under_test = batcher(held, max_rows=2, max_waiting=10)
        first, large, single = Outcome(1.0, 1), Outcome(1.0, 5), Outcome(1.0, 1)
        under_test.submit(first.job)
        held.entered.acquire()
        under_test.submit(large.job)
        with pytest.raises(Overloaded):
            under_test.submit(Outcome(1.0, 3).job)
        under_test.submit(single.job)
        held.go()
        under_test.close(10)
    assert all(isinstance(outcome.results[0], np.ndarray) for outcome in (first, large, single))


def test_close_leaves_a_hanging_model() -> None:
    with Held() as held:
        under_test = batcher(held)
        under_test.submit(Outcome(1.0, 1).job)
        held.entered.acquire()
        under_test.close(0.05)


def test_empty_queue_takes_any_job() -> None:
    under_test = batcher(even, max_waiting=5)
    outcome = Outcome(1.0, 50)
    under_test.submit(outcome.job)
    under_test.close(10)
    assert isinstance(outcome.results[0], np.ndarray)


def test_close_answers_queued_jobs() -> None:
    with Held() as held:
        under_test = batcher(held)
        outcomes = [Outcome(1.0, 1) for _ in range(20)]
        for outcome in outcomes:
            under_test.submit(outcome.job)
        held.entered.acquire()
        closing = threading.Thread(target=under_test.close, args=(10,))
        closing.start()
        while True:
            try:
                under_test.submit(Outcome(1.0, 1).job)
            except Draining:
                break
        held.go()
        closing.join(10)
    assert all(isinstance(outcome.results[0], np.ndarray) for outcome in outcomes)


def test_deadline_is_checked_before_the_run() -> None:
    with Held() as held:
        under_test = batcher(held)
        first = Outcome(1.0, 1)
        under_test.submit(first.job)
        held.entered.acquire()
        deadline = time.monotonic() + 0.05
        late = Outcome(1.0, 1, deadline=deadline)
        under_test.submit(late.job)
        while time.monotonic() < deadline:
            first.settled.wait(0.01)
        held.go()
        under_test.close(10)
    assert isinstance(late.results[0], DeadlinePassed)


def test_callers_that_shared_a_run_share_the_next() -> None:
    callers, rounds, runs = 8, 10, []

    def slow(rows: Matrix) -> Matrix:
        runs.append(len(rows))
        time.sleep(0.005)  # As a model that computes.
        return even(rows)

    under_test = Batcher([slow], max_rows=callers, max_waiting=1000, patience=0.4)

    def caller(hop: float) -> None:
        for _ in range(rounds):
            time.sleep(hop)  # As a network.
            outcome = Outcome(1.0, 1)
            under_test.submit(outcome.job)
            assert outcome.settled.wait(30)

    threads = [threading.Thread(target=caller, args=(0.001 * index,)) for index in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    under_test.close(30)
    assert sum(runs) == callers * rounds
    assert len(runs) < 1.5 * rounds


def test_lone_caller_never_waits_for_others() -> None:
    under_test = Batcher([doubled], max_rows=8, max_waiting=1000, patience=3600)
    for _ in range(3):
        outcome = Outcome(1.0, 1)
        under_test.submit(outcome.job)
        assert outcome.settled.wait(30)
    under_test.close(30)


def test_full_runs_never_wait_for_others() -> None:
    with Held() as held:
        under_test = Batcher([held], max_rows=2, max_waiting=1000, patience=3600)
        outcomes = [Outcome(1.0, 1) for _ in range(5)]
        under_test.submit(outcomes[0].job)
        assert held.entered.acquire(timeout=30)
        for outcome in outcomes[1:]:
            under_test.submit(outcome.job)
        held.go()
        assert all(outcome.settled.wait(30) for outcome in outcomes)
        under_test.close(30)
