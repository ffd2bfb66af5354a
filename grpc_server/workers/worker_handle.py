"""A worker process as the server sees it: started, asked, ended."""

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from foretell_lifecycle.platform import resident_bytes
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import Output, outputs_to_json
from grpc_server.workers.budget import PATIENCE
from grpc_server.workers.cost import Cost
from grpc_server.workers.fork_server import ForkServer
from grpc_server.workers.wire_frame import receive, send

_START_SECONDS = 60.0
"""Longest time in which a worker must load its model and warm up."""


class RunFailed(Exception):
    """A worker gave no answer. The text is for the log: it holds whatever the model said.

    RunFailed
    ├── ModelRaised   the model raised; the worker is as good as before
    ├── WorkerEnded   the worker ended during the run
    ├── WorkerHung    the run took too long
    └── NoWorker      there is no worker, and none can be started
    """


class ModelRaised(RunFailed):
    """The model raised; the text ends with the type and the text of its exception."""


class WorkerEnded(RunFailed):
    """The worker ended during the run."""


class WorkerHung(RunFailed):
    """The run took too long."""


class NoWorker(RunFailed):
    """There is no worker, and none can be started."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which model a worker loads."""

    root: Path
    """The repository."""
    name: str
    version: str
    digest: str
    """SHA-256 of the artifact that the server has verified, in hexadecimal."""
    outputs: tuple[Output, ...] = ()
    """What its answers hold; without any, what the model gives of itself."""
    stands_back: bool = False
    """Whether it takes only the time that nobody else wants."""

    def __str__(self) -> str:
        return f"model {self.name!r} version {self.version}"


class WorkerHandle:
    """One worker. One thread at a time may `start` or `run` it; any thread may `end` or `kill` it."""

    def __init__(self, origin: Origin, forks: ForkServer) -> None:
        """Have the process forked. Raises OSError."""
        facts = {"models": str(origin.root), "name": origin.name, "version": origin.version, "digest": origin.digest}
        self._process = forks.fork("worker", facts | {"stands_back": origin.stands_back})
        self._outputs = origin.outputs
        self._start_seconds = _START_SECONDS * (PATIENCE if origin.stands_back else 1)
        self.pid = self._process.pid
        self.name = f"worker {self.pid} of {origin}"
        self.runs = 0
        self.dismissed = False
        """Whether it was told to end."""
        self.lost = False
        """Whether it was killed, perhaps only to make sure of its end: it must get no more rows."""

    def start(self, sample: Rows) -> Cost:
        """Wait until the model is loaded and warmed up with `sample`; what a run costs there. Raises ModelError."""
        try:
            ((one_row, batch),) = self._ask((outputs_to_json(self._outputs), sample), self._start_seconds).tolist()
        except ModelRaised as refusal:
            raise ModelError(str(refusal)) from None
        except WorkerHung:
            raise ModelError(f"{self.name} was not ready after {self._start_seconds:.0f} s") from None
        except WorkerEnded:
            raise ModelError(f"{self.name} ended with code {self.wait()} while it started") from None
        return Cost(one_row, batch)

    def run(self, rows: Rows, seconds: float) -> Matrix:
        """What the model makes of `rows`. Raises ModelRaised, or else kills the worker and raises WorkerEnded or WorkerHung."""
        self.runs += 1
        return self._ask((rows,), seconds)

    def _ask(self, frames: tuple[Rows | str, ...], seconds: float) -> Matrix:
        try:
            self._process.line.settimeout(seconds)
            for frame in frames:
                send(self._process.line, frame)
            answer = receive(self._process.line)
        except BaseException as error:
            self.kill()  # Half a frame may be on its way: nothing that came after it would make sense.
            if isinstance(error, TimeoutError):
                raise WorkerHung(f"{self.name} did not answer within {seconds:g} s and was killed") from None
            if isinstance(error, EOFError | OSError):
                raise WorkerEnded(f"{self.name} ended during a run of {len(frames[-1])} rows") from None
            raise
        if isinstance(answer, str):
            raise ModelRaised(answer)
        return cast("Matrix", answer)  # Workers send nothing else.

    @property
    def paused(self) -> float:
        """Seconds for which it has paused so far."""
        return self._process.paused.seconds

    def megabytes(self) -> float:
        """Resident memory; 0 where the process is gone."""
        return resident_bytes(self.pid) / 2**20

    def end(self) -> None:
        """Have the process end once it has answered."""
        self.dismissed = True
        with contextlib.suppress(OSError):  # The other end may be gone.
            self._process.line.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """End the process, and what it has started, at once. A run that is under way raises WorkerEnded."""
        self.lost = True
        self._process.kill()

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        return self._process.wait()

    def close(self) -> None:
        """Give back what the dead process leaves here."""
        self._process.close()
