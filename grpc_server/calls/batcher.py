"""Greedy batching: the rows that wait while the model runs share its next run; a lone call never waits."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from grpc_server.calls.call import Call
from grpc_server.calls.refusal import DeadlinePassed, Draining, ModelUnavailable, Overloaded, Refusal, failure
from grpc_server.rows.mixed_rows import Matrix, NumberRows, RequestRows, Table, concatenate
from grpc_server.rows.outputs import is_finite
from grpc_server.workers.worker_handle import NoWorker, WorkerEnded

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """The rows of one call in the queue of a model."""

    rows: RequestRows
    call: Call
    done: Callable[[NumberRows | Refusal, bool], None]
    """Called from any thread with the model's outputs, one row for each input row, or a refusal; must not raise.

    The second argument is whether the outputs surely make a valid answer.
    """
    dropped: Callable[[], None]
    """Called instead of `done` if the job was cancelled before the model ran; from any thread; must not raise."""
    cancelled: bool = False

    def cancel(self) -> None:
        """Drop the rows unless the model runs them already."""
        self.cancelled = True


Predict: TypeAlias = Callable[[Any], Matrix]
"""Takes a Matrix, or a Table if the model has columns of several types."""


class Batcher:
    """The queue of one model, first in, first out. Safe for threads; `submit` never blocks.

    If a batch fails, each of its jobs runs again alone, so that only the faulty one fails. If a worker ends while it runs a single
    job, that job runs once more, since the worker may be the cause.
    """

    def __init__(
        self,
        runners: Sequence[Predict],
        *,
        max_rows: int,
        max_waiting: int,
        inline: bool = False,
        accept: Callable[[Matrix], bool] = is_finite,
        patience: float = 0.0,
    ) -> None:
        """Each of `runners` gets a thread; an `inline` batcher has one runner, which runs in the thread that calls `run_waiting`.

        `max_rows` bounds one run of the model (a larger job runs alone), `max_waiting` the rows in the queue. Jobs above `max_rows`
        get half of the queue, so that large batches leave room for single rows. `accept` is whether outputs surely make valid
        answers; it sees the outputs of a whole run. After a run of several jobs, a thread waits up to `patience` seconds for the
        next jobs of these callers, who else split into groups that wait for each other's runs; a lone caller never waits.
        """
        self.inline = inline
        self._runners = runners
        self._accept = accept
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._patience = patience
        self._jobs: deque[Job] = deque()
        self.waiting = 0
        """Rows in the queue; only the batcher changes it."""
        self._closed = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._inline_run = threading.Lock()
        self._threads = [] if inline else [threading.Thread(target=self._run, args=(run,), daemon=True) for run in runners]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; an empty queue takes any size. Raises Overloaded or Draining; then neither callback is called."""
        with self._lock:
            if self._closed:
                raise Draining("the server is stopping; retry elsewhere")
            count = len(job.rows)
            limit = self._max_waiting if count <= self._max_rows else self._max_waiting // 2
            if self._jobs and self.waiting + count > limit:
                raise Overloaded(f"{self.waiting} rows are waiting for the model already; retry with backoff")
            self._jobs.append(job)
            self.waiting += count
            if not self.inline:
                self._changed.notify()

    def run_waiting(self) -> None:
        """Run one batch of an inline model in this thread. Must be called soon after each `submit`; from any thread."""
        with self._inline_run:
            self._answer(self._runners[0], self._take())

    def close(self, seconds: float) -> None:
        """Run what is queued and end the threads, each within `seconds`; a thread whose model hangs is left behind."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        while self.inline and self._jobs:
            self.run_waiting()
        for thread in self._threads:
            thread.join(seconds)

    def _run(self, predict: Predict) -> None:
        crowded = False
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if not self._jobs:
                    return
            if crowded:
                self._wait_for_more()
            taken = self._take()
            crowded = len(taken) > 1
            self._answer(predict, taken)

    def _wait_for_more(self) -> None:
        """Wait while jobs arrive that fit into a run, in steps of a quarter of the patience."""
        before = 0
        for _ in range(4):
            if before == (before := self.waiting) or before >= self._max_rows:
                return
            time.sleep(self._patience / 4)

    def _take(self) -> list[Job]:
        """Remove the jobs of the next batch from the queue."""
        taken: list[Job] = []
        rows = 0
        with self._lock:
            while self._jobs and (not taken or rows + len(self._jobs[0].rows) <= self._max_rows):
                job = self._jobs.popleft()
                taken.append(job)
                rows += len(job.rows)
            self.waiting -= rows
        return taken

    def _answer(self, predict: Predict, taken: list[Job], *, retried: bool = False) -> None:
        jobs = [job for job in taken if _wanted(job)]
        if not jobs:
            return
        try:
            outputs = _outputs(predict, _stacked([job.rows for job in jobs]))
            sure = self._accept(outputs)
        except NoWorker:  # The pool has logged why.
            for job in jobs:
                job.done(ModelUnavailable("the model cannot run at the moment; retry with backoff"), False)
            return
        except BaseException as error:  # A model may raise anything, SystemExit too; the thread must live on.
            if len(jobs) > 1:
                for job in jobs:
                    self._answer(predict, [job])
            elif isinstance(error, WorkerEnded) and not retried:
                self._answer(predict, jobs, retried=True)
            else:
                jobs[0].done(failure(logger, "the model failed", jobs[0].call, error), False)
            return
        if len(outputs) == len(jobs):
            for job, row in zip(jobs, outputs.tolist(), strict=True):
                job.done((row,), sure)
            return
        start = 0
        for job in jobs:
            job.done(outputs[start : start + len(job.rows)], sure)
            start += len(job.rows)


def _stacked(rows: list[Any]) -> Matrix | Table:
    if type(rows[0]) is Table:
        return concatenate(rows)
    if len(rows) == 1:
        return np.asarray(rows[0])
    if all(type(part) is tuple for part in rows):
        return np.array([part[0] for part in rows])
    return np.concatenate(rows)


def _outputs(predict: Predict, rows: Matrix | Table) -> Matrix:
    outputs = predict(rows)
    if outputs.ndim != 2 or len(outputs) != len(rows):
        raise ValueError(f"the model gave shape {outputs.shape} for {len(rows)} rows")
    return outputs


def _wanted(job: Job) -> bool:
    if job.cancelled:
        job.dropped()
        return False
    if job.call.deadline is not None and job.call.expired:
        job.done(DeadlinePassed("the deadline passed before the model ran"), False)
        return False
    return True
