"""The process that forks those which run models, as the server sees it: started when needed, gone when it was not for a while.

Each gets a process of its own, without the second or two in which a new one imports scikit-learn: what serves would miss that time.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

from grpc_server.workers.budget import PATIENCE
from grpc_server.workers.pauses import Paused

_START_SECONDS = 60.0 * PATIENCE
"""Longest time until a process is forked: what forks it may have to start, and to import what a server imports, with pauses."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
"""Variables by which OpenMP, the BLAS libraries and joblib learn how many threads they may use."""

_LONGEST_NUMBER = 32
"""Bytes."""


class Forked:
    """A process that was forked, much as `subprocess.Popen` would show it. One thread at a time may `wait`."""

    def __init__(self, ask: Callable[[list[int]], None]) -> None:
        """`ask` has it forked, with the descriptors of its sockets. Raises OSError where it never is."""
        self._status, keepers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line, line = socket.socketpair()
        """What the two say to each other."""
        self.lifeline, lifeline = socket.socketpair()
        """The process ends when this closes: see foretell_lifecycle/platform.py."""
        self._code: int | None = None
        try:
            with keepers, line, lifeline, open(Paused.shared()) as paused:
                ask([each.fileno() for each in (keepers, line, lifeline, paused)])
                self.paused = Paused(paused.fileno())
            self.pid = self._forked()
        except OSError:
            self._hang_up()
            raise
        self._handle = _handle(self.pid)

    def wait(self, seconds: float | None = None) -> int:
        """The exit code, or the negative number of the signal that ended it. Raises TimeoutError."""
        if self._code is None:
            self._status.settimeout(seconds)
            self._code = int(self._status.recv(_LONGEST_NUMBER) or self._unheard(seconds))
        return self._code

    def _unheard(self, seconds: float | None) -> int:
        """What forked it has ended and cannot tell: wait for its end, which then most likely is a kill."""
        if self._handle is not None and not select.select([self._handle], [], [], seconds)[0]:
            raise TimeoutError
        return -signal.SIGKILL

    def kill(self) -> None:
        """End it, and what it has started, at once. A wait for the line is over."""
        for each in (self.lifeline, self.line):  # What it has started may hold the other end of the line.
            with contextlib.suppress(OSError):  # The other end may be gone.
                each.shutdown(socket.SHUT_RDWR)
        if self._handle is not None and self._code is None:  # It may not have come so far that it heeds the lifeline.
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """Give back what it leaves here; it ends, if it has not."""
        self._hang_up()
        self.paused.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _forked(self) -> int:
        self._status.settimeout(_START_SECONDS)
        told = self._status.recv(_LONGEST_NUMBER)
        if not told:
            raise ChildProcessError("what forks processes has ended")
        return int(told)

    def _hang_up(self) -> None:
        for each in (self._status, self.line, self.lifeline):
            each.close()


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None  # It has ended already.


class ForkServer:
    """Forks processes. Safe for several threads."""

    def __init__(self, purpose: str, *, nice: int = 0, apart: bool = False, environment: Mapping[str, str] = os.environ) -> None:
        """All are as `nice`, have this environment, and show the purpose in lists of processes.

        Those that are `apart` pause while the machine is busy, see pauses.py, and have a single thread, which alone would.
        """
        self._arguments = [purpose, str(nice), "apart" if apart else ""]
        self._environment = {**environment, **dict.fromkeys(THREADS, "1")} if apart else environment
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def fork(self, kind: str, facts: Mapping[str, Any]) -> Forked:
        """A process of one of the kinds in forking.py, with these facts. Raises OSError where there can be none."""
        ask = partial(self._ask, json.dumps({"kind": kind, "facts": facts}).encode())
        try:
            return Forked(ask)
        except ChildProcessError:  # It was killed with this in its hands.
            return Forked(ask)

    def close(self) -> None:
        """End the process that forks, until it is needed again. What it has forked lives on."""
        with self._lock:
            self._end()

    def _ask(self, message: bytes, descriptors: list[int]) -> None:
        with self._lock:
            if self._running is not None:
                try:
                    self._running.ask(message, descriptors)
                except OSError:  # It has left: see forking.py.
                    self._end()
                else:
                    return
            self._running = _Running.start(self._arguments, self._environment)
            self._running.ask(message, descriptors)

    def _end(self) -> None:
        if self._running is not None:
            self._running.end()
            self._running = None


class _Running:
    """The process that forks, once it was started."""

    def __init__(self, line: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self._line = line
        self._process = process

    @classmethod
    def start(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Self:
        """Raises OSError where it cannot be."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "grpc_server.workers.forking", str(theirs.fileno()), *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=2,  # What a model prints is log: whoever reads the server's stdout expects other things.
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is meant for the server.
            )
            return cls(ours, process)

    def ask(self, message: bytes, descriptors: list[int]) -> None:
        """Raises OSError where it has left."""
        socket.send_fds(self._line, [message], descriptors)

    def end(self) -> None:
        """Kill it: it holds nothing that anybody would miss."""
        self._line.close()
        self._process.kill()
        self._process.wait()
