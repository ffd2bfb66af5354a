"""A look at a start from outside the models that it loads: one that hangs holds up the event loop, and cannot be interrupted."""

import os
import select
import signal
import socket
import threading
from typing import Any, Self

from foretell_contract.errors import SetupError
from foretell_lifecycle.process import REFUSED, Launcher
from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelMismatch
from grpc_server.workers.budget import Budget

_STOPS = {signal.SIGTERM, signal.SIGINT}

_HANDOVER_SECONDS = 1.0
"""How much longer than this process the supervisor waits."""

_OVER = 0
"""The number of no signal."""


class StartupWatchdog:
    """During a `with` block of the first thread, ends the process where a version takes too long at a gate, or it is told to stop.

    Nothing is served yet, so there is nothing to tidy up. What lets no other thread run is left to the supervisor, if there is one.
    """

    def __init__(self, seconds: float, launcher: Launcher) -> None:
        """`seconds` are for each gate; the launcher hears why the process ends."""
        self._seconds = seconds
        self._launcher = launcher
        self._limit: tuple[Budget, SetupError] | None = None
        self._told, self._teller = socket.socketpair()
        self._teller.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def at(self, place: str, gate: Gate | None) -> None:
        """The version that `place` names has come to a gate, or is where something else limits its time."""
        if gate is None:
            self._limit = None
            self._launcher.release()
            return
        late = f"{place} took longer than gate_seconds, {self._seconds:g} s, at the gate {gate}"
        error = ModelMismatch(late, "raise it, or serve a version that answers")
        budget = Budget(os.getpid(), self._seconds)
        self._limit = budget, error
        self._launcher.entrust(error, budget.most + _HANDOVER_SECONDS)

    def __enter__(self) -> Self:
        self._loops = signal.set_wakeup_fd(self._teller.fileno())  # Written to by whichever thread a signal meets.
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        signal.set_wakeup_fd(self._loops, warn_on_full_buffer=False)
        self._teller.send(bytes([_OVER]))
        self._thread.join()
        self._launcher.release()
        self._told.close()
        self._teller.close()

    def _run(self) -> None:
        while True:
            if not select.select([self._told], [], [], self._left())[0]:
                continue
            told = self._told.recv(64)
            if _STOPS.intersection(told):
                os._exit(0)
            if _OVER in told:
                return

    def _left(self) -> float:
        """Until when there is nothing to do: a gate that comes meanwhile ends no earlier."""
        if self._limit is None:
            return self._seconds
        budget, error = self._limit
        left = budget.left
        if left <= 0:
            try:
                self._launcher.refuse(error)
            finally:
                os._exit(REFUSED)
        return left
