"""A thread that ends a start whose model hangs: Python code that holds the event loop cannot be interrupted from within."""

import os
import select
import signal
import socket
import threading
import time
from typing import Any, Self

from foretell_contract.errors import SetupError
from foretell_lifecycle.process import REFUSED, Launcher
from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelMismatch

_STOPS = {signal.SIGTERM, signal.SIGINT}

_HANDOVER_SECONDS = 1.0
"""How much longer than this process the supervisor waits, in case the model never releases the GIL."""

_END = 0
"""Byte that ends the thread; no signal has this number."""


class StartupWatchdog:
    """During a `with` block of the main thread, ends the process if a gate takes too long, or on SIGTERM or SIGINT.

    The process exits at once, since it does not serve yet. A model that holds the GIL is left to the supervisor, if there is one.
    """

    def __init__(self, seconds: float, launcher: Launcher) -> None:
        """`seconds` is the limit of each gate; the launcher gets the reason when the process ends."""
        self._seconds = seconds
        self._launcher = launcher
        self._limit: tuple[float, SetupError] | None = None
        """The time of `time.monotonic` at which the process ends, and the reason."""
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="startup-watchdog", daemon=True)

    def on_gate(self, title: str, gate: Gate | None) -> None:
        """Starts the limit of a gate for the version that `title` names; None if a trial limits its time."""
        if gate is None:
            self._limit = None
            self._launcher.set_start_deadline(None, None)
            return
        late = f"{title} took longer than gate_seconds, {self._seconds:g} s, at the gate {gate}"
        error = ModelMismatch(late, "raise it, or serve a version that answers")
        self._limit = time.monotonic() + self._seconds, error
        self._launcher.set_start_deadline(error, self._seconds + _HANDOVER_SECONDS)

    def __enter__(self) -> Self:
        self._loop_fd = signal.set_wakeup_fd(self._sender.fileno())  # Python writes the numbers of signals to it.
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        signal.set_wakeup_fd(self._loop_fd, warn_on_full_buffer=False)
        self._sender.send(bytes([_END]))
        self._thread.join()
        self._launcher.set_start_deadline(None, None)
        self._receiver.close()
        self._sender.close()

    def _run(self) -> None:
        while True:
            if not select.select([self._receiver], [], [], self._left())[0]:
                continue
            received = self._receiver.recv(64)
            if _STOPS.intersection(received):
                os._exit(0)
            if _END in received:
                return

    def _left(self) -> float:
        """Seconds until the limit of the present gate; ends the process when they are over."""
        if self._limit is None:
            return self._seconds
        end, error = self._limit
        left = end - time.monotonic()
        if left <= 0:
            try:
                self._launcher.refuse(error)
            finally:
                os._exit(REFUSED)
        return left
