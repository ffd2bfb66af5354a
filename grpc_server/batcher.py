"""Greedy batching: rows that wait while the model runs go together in its next run; a lone call never waits."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grpc_server.call import Call
from grpc_server.incident import failure
from grpc_server.refusal import DeadlinePassed, Draining, Overloaded, Refusal
from grpc_server.runtimes import Matrix

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """Rows of one call on their way through the model."""

    rows: Matrix
    call: Call
    done: Callable[[Matrix | Refusal], None]
    """Called from any thread with the outcome; must not raise."""
    dropped: Callable[[], None]
    """Called instead of `done`, from any thread, where the job was cancelled before the model ran; must not raise."""
    cancelled: bool = False

    def cancel(self) -> None:
        """Nobody waits any more: the rows are dropped unless the model has them already."""
        self.cancelled = True


class Batcher:
    """One queue and one thread before one model.

    No batch mixes models, because each model has a batcher of its own. Order is kept. A batch that fails is tried again job by job,
    so that only the culprit fails.
    """

    def __init__(self, predict: Callable[[Matrix], Matrix], *, max_rows: int, max_waiting: int) -> None:
        """`max_rows` bounds one run of the model (a larger job runs alone), `max_waiting` the rows in the queue.

        Jobs larger than a run get half of the queue, so that callers with large batches cannot shut out those with single rows.
        """
        self._predict = predict
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._jobs: deque[Job] = deque()
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job. Never blocks. Raises Overloaded or Draining; `done` is then not called.

        A job larger than the whole queue is taken when nothing else waits.
        """
        with self._changed:
            if self._closed:
                raise Draining("the server is stopping; retry elsewhere")
            limit = self._max_waiting if len(job.rows) <= self._max_rows else self._max_waiting // 2
            if self._jobs and self._waiting + len(job.rows) > limit:
                raise Overloaded(f"{self._waiting} rows are waiting for the model already; retry with backoff")
            self._jobs.append(job)
            self._waiting += len(job.rows)
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return self._waiting

    def close(self, seconds: float | None = None) -> None:
        """Answer what is queued and end the thread; a model that hangs is waited for at most `seconds`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while (jobs := self._take()) is not None:
            if jobs:
                self._answer(jobs)

    def _take(self) -> list[Job] | None:
        """The jobs of the next batch, without those nobody waits for; None at the end."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return None
            taken: list[Job] = []
            rows = 0
            while self._jobs and (not taken or rows + len(self._jobs[0].rows) <= self._max_rows):
                job = self._jobs.popleft()
                self._waiting -= len(job.rows)
                taken.append(job)
                rows += len(job.rows)
        return [job for job in taken if _wanted(job)]

    def _answer(self, jobs: list[Job]) -> None:
        try:
            outputs = self._outputs(np.concatenate([job.rows for job in jobs]) if len(jobs) > 1 else jobs[0].rows)
        except BaseException as error:  # A model may raise anything, SystemExit too; the thread must live on.
            if len(jobs) == 1:
                jobs[0].done(failure(logger, "the model failed", jobs[0].call, error))
                return
            for job in jobs:
                self._answer([job])
            return
        start = 0
        for job in jobs:
            job.done(outputs[start : start + len(job.rows)])
            start += len(job.rows)

    def _outputs(self, rows: Matrix) -> Matrix:
        outputs = self._predict(rows)
        if outputs.ndim != 2 or len(outputs) != len(rows) or not np.isfinite(outputs).all():
            raise ValueError(f"the model answered {len(rows)} rows with shape {outputs.shape}, or with numbers that are not finite")
        return outputs


def _wanted(job: Job) -> bool:
    if job.cancelled:
        job.dropped()
        return False
    if job.call.expired:
        job.done(DeadlinePassed("the deadline passed before the model ran"))
        return False
    return True
