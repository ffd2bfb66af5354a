"""A worker process as the server sees it: started, asked for runs, ended."""

import contextlib
import socket
from collections.abc import Mapping
from typing import cast

from foretell_lifecycle.platform import resident_bytes
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.workers import worker_process
from grpc_server.workers.model_process import ONE_THREAD, ModelProcess
from grpc_server.workers.wire_frame import receive, send
from grpc_server.workers.worker_process import Origin

_START_SECONDS = 60.0
"""Longest time in which a worker must load its model and warm up."""


class RunFailed(Exception):
    """A run gave no answer. The text is for the log: it holds whatever the model has raised."""


class ModelRaised(RunFailed):
    """The model raised, and the worker is as good as before; the text ends with the type and the text of its exception."""


class WorkerEnded(RunFailed):
    """The worker ended during the run."""


class WorkerHung(RunFailed):
    """The run took too long."""


class NoWorker(RunFailed):
    """There is no worker, and none can be started."""


class WorkerHandle(ModelProcess):
    """One worker. One thread at a time may `start` or `run` it; any thread may `end` or `kill` it."""

    def __init__(self, origin: Origin, threads: Mapping[str, str] = ONE_THREAD) -> None:
        """Start the process; `threads` limits its numerical libraries, see ModelProcess. Raises OSError."""
        super().__init__(worker_process.main, origin, threads=threads)
        self.name = f"worker {self.pid} of {origin}"
        self.runs = 0
        self.dismissed = False
        """Whether `end` was called."""
        self.lost = False
        """Whether it was killed, perhaps only to make sure of its end: it must get no more rows."""

    def start(self, sample: Rows) -> None:
        """Wait until the model is loaded and warmed up with `sample`. Raises ModelError."""
        try:
            self._exchange(sample, _START_SECONDS)
        except ModelRaised as refusal:
            raise ModelError(str(refusal)) from None
        except WorkerHung:
            raise ModelError(f"{self.name} was not ready after {_START_SECONDS:.0f} s") from None
        except WorkerEnded:
            raise ModelError(f"{self.name} ended with code {self.wait()} while it started") from None

    def run(self, rows: Rows, seconds: float) -> Matrix:
        """The model's outputs for `rows`. Raises ModelRaised, or else kills the worker and raises WorkerEnded or WorkerHung."""
        self.runs += 1
        return self._exchange(rows, seconds)

    def _exchange(self, rows: Rows, seconds: float) -> Matrix:
        try:
            self.line.settimeout(seconds)
            send(self.line, rows)
            answer = receive(self.line)
        except BaseException as error:
            self.kill()  # Half a frame may be on its way: nothing that comes after it would make sense.
            if isinstance(error, TimeoutError):
                raise WorkerHung(f"{self.name} did not answer within {seconds:g} s and was killed") from None
            if isinstance(error, EOFError | OSError):
                raise WorkerEnded(f"{self.name} ended during a run of {len(rows)} rows") from None
            raise
        if isinstance(answer, str):
            raise ModelRaised(answer)
        return cast("Matrix", answer)  # Workers send no tables.

    def megabytes(self) -> float:
        """Resident memory; 0 if the process has ended."""
        return resident_bytes(self.pid) / 2**20

    def end(self) -> None:
        """Have the process end once it has answered."""
        self.dismissed = True
        with contextlib.suppress(OSError):  # The other end may be gone.
            self.line.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """Kill the process and what it has started. A run that is under way raises WorkerEnded."""
        self.lost = True
        super().kill()
