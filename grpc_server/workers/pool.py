"""The worker processes of one model: as many as may run at once, and perhaps a warm spare that steps in when one is lost."""

import logging
import os
import threading
import time
from collections.abc import Callable

from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.workers.cost import cores
from grpc_server.workers.fork_server import THREADS, ForkServer
from grpc_server.workers.worker_handle import NoWorker, Origin, WorkerHandle, WorkerHung

logger = logging.getLogger(__name__)

_DELAYS = (0.1, 0.5, 2.0, 5.0)
"""Seconds before another start after one that failed, by how many have failed in a row; then the last."""

_LOOK_EVERY = 16
"""Runs of a worker between two looks at its memory. A look takes 0.01 ms."""


class Pool:
    """Workers that answer runs from any thread.

    No worker belongs to a thread: a run takes an idle one, so that a lost worker costs capacity and nothing else while another is
    started. A run that loses its worker is not tried again here, so one set of rows ends at most one worker a try.
    """

    def __init__(
        self,
        origin: Origin,
        sample: Rows,
        *,
        workers: int,
        seconds: float,
        max_megabytes: int,
        forks: ForkServer | None = None,
        spare: bool = True,
    ) -> None:
        """Start `workers` processes at once, wait until all are warm, then start the spare, if there is to be one.

        `sample` is rows to warm up with, `seconds` the longest a run may take, `max_megabytes` the resident memory above which a
        worker is replaced between two runs, or 0, and `forks` forks them, where that is not to be one of the pool's own. Raises
        ModelError where a worker cannot start; none then stays behind.
        """
        self.runners: list[Callable[[Rows], Matrix]] = [self._run] * workers
        """One for each thread that may run the model; see _run."""
        self._origin = origin
        self._sample = sample
        self._seconds = seconds
        self._max_megabytes = max_megabytes
        threads = dict.fromkeys(THREADS, str(max(1, cores() // workers)))
        self._own_forks = ForkServer(f"workers of {origin} in {origin.root}", environment=threads | os.environ)
        self._forks = forks or self._own_forks
        self.paused = 0.0
        """Seconds for which workers have paused during runs so far."""
        self._changed = threading.Condition()
        self._children: set[WorkerHandle] = set()
        self._idle: list[WorkerHandle] = []
        self._busy: set[WorkerHandle] = set()
        self._refused: Exception | None = None
        """Why the last start failed; None once one has worked again."""
        self._up = False
        self._closed = False
        self._keepers: list[threading.Thread] = []
        self._start(workers)
        if spare:
            self._hire()

    @property
    def idle(self) -> int:
        """Workers that wait for a run, the spare among them."""
        return len(self._idle)

    def close(self, seconds: float) -> None:
        """Take no more runs, finish those under way, end all workers; what is left after `seconds` is killed."""
        end = time.monotonic() + seconds
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy, seconds)
            for child in self._children:
                if child in self._idle:
                    child.end()
                else:
                    child.kill()
        for keeper in self._keepers:
            keeper.join(max(0.0, end - time.monotonic()))
        with self._changed:
            for child in self._children:
                child.kill()
        for keeper in self._keepers:
            keeper.join()
        self._own_forks.close()

    def _run(self, rows: Rows) -> Matrix:
        """What the model makes of `rows`; ends a worker that takes too long. Raises RunFailed, as one of its kinds."""
        child = self._take()
        paused = child.paused
        try:
            return child.run(rows, self._seconds)
        except WorkerHung as hung:
            logger.error("%s", hung)
            raise
        finally:
            self._give_back(child, child.paused - paused)

    def _take(self) -> WorkerHandle:
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._closed or (self._refused and not self._children))
            if self._closed or not self._idle:
                raise NoWorker(f"no worker of {self._origin}: {self._refused or 'the pool is closed'}")
            child = self._idle.pop()  # The one that ran last: its memory is in the caches, and the spare stays fresh.
            self._busy.add(child)
            return child

    def _give_back(self, child: WorkerHandle, paused: float) -> None:
        outgrown = self._outgrown(child)
        with self._changed:
            self.paused += paused
            self._busy.remove(child)
            if outgrown and self._idle:
                logger.info("%s takes more than %d MB and is replaced", child.name, self._max_megabytes)
                child.end()
            elif not child.lost:
                self._idle.append(child)
            self._changed.notify_all()

    def _outgrown(self, child: WorkerHandle) -> bool:
        return bool(self._max_megabytes) and not child.runs % _LOOK_EVERY and child.megabytes() > self._max_megabytes

    def _start(self, workers: int) -> None:
        for _ in range(workers):
            self._hire()
        with self._changed:
            self._changed.wait_for(lambda: len(self._idle) == workers or self._refused)
            refused = self._refused
            self._up = not refused
        if refused:
            self.close(0.0)
            raise ModelError(str(refused))

    def _hire(self) -> None:
        keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keepers.append(keeper)
        keeper.start()

    def _keep(self) -> None:
        """Have one worker at all times."""
        failures = 0
        while not self._closed:
            try:
                self._employ()
                failures = 0
            except (ModelError, OSError) as error:
                if self._up and not self._closed:
                    logger.error("%s", error)
                delay = _DELAYS[min(failures, len(_DELAYS) - 1)]
                failures += 1
                with self._changed:
                    self._refused = error
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._closed, delay)

    def _employ(self) -> None:
        """One worker from its start to its end. Raises ModelError or OSError where it cannot start."""
        child = WorkerHandle(self._origin, self._forks)
        try:
            with self._changed:
                self._children.add(child)
                if self._closed:
                    return
            child.start(self._sample)
            self._check_memory(child)
            with self._changed:
                self._refused = None
                self._idle.append(child)
                self._changed.notify_all()
            code = child.wait()
            if not self._closed and not child.dismissed:
                logger.error("%s ended with code %d; another is started", child.name, code)
        finally:
            child.kill()
            child.wait()
            with self._changed:
                self._changed.wait_for(lambda: child not in self._busy)
                self._children.remove(child)
                if child in self._idle:
                    self._idle.remove(child)
            child.close()

    def _check_memory(self, child: WorkerHandle) -> None:
        taken = child.megabytes()
        if self._max_megabytes and taken > self._max_megabytes:
            raise ModelError(
                f"worker_max_mb is {self._max_megabytes}, but a worker of {self._origin} takes {taken:.0f} MB from its start: "
                "raise it, or set it to 0 for no limit"
            )
