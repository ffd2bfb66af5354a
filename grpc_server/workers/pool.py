"""The worker processes of one model: as many as may run at once, and a warm spare that replaces one that is lost."""

import logging
import os
import threading
import time
from collections.abc import Callable

from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.workers.cost import cores
from grpc_server.workers.model_process import ONE_THREAD, THREADS
from grpc_server.workers.worker_handle import NoWorker, WorkerHandle, WorkerHung
from grpc_server.workers.worker_process import Origin

logger = logging.getLogger(__name__)

_DELAYS = (0.1, 0.5, 2.0, 5.0)
"""Seconds between a failed start and the next one, by how many have failed in a row; then the last."""

_RUNS_PER_CHECK = 16
"""Runs of a worker between two checks of its memory. A check takes 0.01 ms."""


class Pool:
    """Workers that run one model. Runs may come from any thread.

    A worker belongs to no thread: a run takes an idle one, so a lost worker costs capacity only, until another has started. A run
    that loses its worker is not tried again here, so one set of rows ends at most one worker a try.
    """

    def __init__(
        self,
        origin: Origin,
        sample: Rows,
        *,
        workers: int,
        seconds: float,
        max_megabytes: int,
        spare: bool = True,
    ) -> None:
        """Start `workers` processes at once, wait until all are warm, then start the spare, if there is to be one.

        `sample` is rows to warm up with, `seconds` the longest a run may take, `max_megabytes` the resident memory above which a
        worker is replaced between two runs, or 0 for no limit. Raises ModelError if a worker cannot start; no process is then left.
        """
        self.runners: list[Callable[[Rows], Matrix]] = [self._run] * workers
        """One for each thread that may run the model. Each raises RunFailed, and kills a worker that takes too long."""
        self._origin = origin
        self._sample = sample
        self._seconds = seconds
        self._max_megabytes = max_megabytes
        self._threads = ONE_THREAD if origin.low_priority else _share(workers)
        self._changed = threading.Condition()
        self._workers: set[WorkerHandle] = set()
        self.idle: list[WorkerHandle] = []
        """Workers that wait for a run, the spare among them."""
        self._busy: set[WorkerHandle] = set()
        self._refused: Exception | None = None
        """Why the last start failed; None after a start that succeeded."""
        self._started = False
        self._closed = False
        self._keepers: list[threading.Thread] = []
        self._start(workers)
        if spare:
            self._add_keeper()

    def close(self, seconds: float) -> None:
        """Take no more runs, finish those under way, end all workers; what is left after `seconds` is killed."""
        end = time.monotonic() + seconds
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy, seconds)
            for worker in self._workers:
                if worker in self.idle:
                    worker.end()
                else:
                    worker.kill()
        for keeper in self._keepers:
            keeper.join(max(0.0, end - time.monotonic()))
        with self._changed:
            for worker in self._workers:
                worker.kill()
        for keeper in self._keepers:
            keeper.join()

    def _run(self, rows: Rows) -> Matrix:
        worker = self._take()
        try:
            return worker.run(rows, self._seconds)
        except WorkerHung as hung:
            logger.error("%s", hung)
            raise
        finally:
            self._put_back(worker)

    def _take(self) -> WorkerHandle:
        with self._changed:
            self._changed.wait_for(lambda: self.idle or self._closed or (self._refused and not self._workers))
            if self._closed or not self.idle:
                raise NoWorker(f"no worker of {self._origin}: {self._refused or 'the pool is closed'}")
            worker = self.idle.pop()  # The one that ran last: its memory is in the caches, and the spare stays fresh.
            self._busy.add(worker)
            return worker

    def _put_back(self, worker: WorkerHandle) -> None:
        outgrown = self._outgrown(worker)
        with self._changed:
            self._busy.remove(worker)
            if outgrown and self.idle:
                logger.info("%s takes more than %d MB and is replaced", worker.name, self._max_megabytes)
                worker.end()
            elif not worker.lost:
                self.idle.append(worker)
            self._changed.notify_all()

    def _outgrown(self, worker: WorkerHandle) -> bool:
        return bool(self._max_megabytes) and not worker.runs % _RUNS_PER_CHECK and worker.megabytes() > self._max_megabytes

    def _start(self, workers: int) -> None:
        for _ in range(workers):
            self._add_keeper()
        with self._changed:
            self._changed.wait_for(lambda: len(self.idle) == workers or self._refused)
            refused = self._refused
            self._started = not refused
        if refused:
            self.close(0.0)
            raise ModelError(str(refused))

    def _add_keeper(self) -> None:
        keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keepers.append(keeper)
        keeper.start()

    def _keep(self) -> None:
        """Keep one worker running until the pool is closed."""
        failures = 0
        while not self._closed:
            try:
                self._keep_one()
                failures = 0
            except (ModelError, OSError) as error:
                if self._started and not self._closed:
                    logger.error("%s", error)
                delay = _DELAYS[min(failures, len(_DELAYS) - 1)]
                failures += 1
                with self._changed:
                    self._refused = error
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._closed, delay)

    def _keep_one(self) -> None:
        """One worker from its start to its end. Raises ModelError or OSError if it cannot start."""
        worker = WorkerHandle(self._origin, self._threads)
        try:
            with self._changed:
                self._workers.add(worker)
                if self._closed:
                    return
            worker.start(self._sample)
            self._check_memory(worker)
            with self._changed:
                self._refused = None
                self.idle.append(worker)
                self._changed.notify_all()
            code = worker.wait()
            if not self._closed and not worker.dismissed:
                logger.error("%s ended with code %d; another is started", worker.name, code)
        finally:
            worker.kill()
            with self._changed:
                self._changed.wait_for(lambda: worker not in self._busy)
                self._workers.remove(worker)
                if worker in self.idle:
                    self.idle.remove(worker)
            worker.close()

    def _check_memory(self, worker: WorkerHandle) -> None:
        taken = worker.megabytes()
        if self._max_megabytes and taken > self._max_megabytes:
            raise ModelError(
                f"worker_max_mb is {self._max_megabytes}, but a worker of {self._origin} takes {taken:.0f} MB from its start: "
                "raise it, or set it to 0 for no limit"
            )


def _share(workers: int) -> dict[str, str]:
    """Limits by which the threads of all workers share the cores, unless the environment has others."""
    return {name: os.environ.get(name, str(max(1, cores() // workers))) for name in THREADS}
