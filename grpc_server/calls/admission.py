"""Admission of calls: a count of the accepted ones, which the drain closes and waits for."""

import threading
import time

from grpc_server.calls.refusal import Draining


class Admission:
    """Counts accepted calls. Safe for threads; nothing blocks but `wait`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._accepted = 0
        self._closed = False
        self._closed_at = self._last_refusal = 0.0

    def enter(self) -> None:
        """Accept one call, for which `leave` must follow. Raises Draining once closed."""
        with self._lock:
            if self._closed:
                self._last_refusal = time.monotonic()
                raise Draining("the server is stopping; retry elsewhere")
            self._accepted += 1

    def leave(self) -> None:
        """Note that an accepted call was answered or dropped."""
        with self._lock:
            self._accepted -= 1
            if self._closed and not self._accepted:
                self._changed.notify_all()

    def close(self) -> None:
        """Refuse calls from now on."""
        with self._changed:
            self._closed = True
            self._closed_at = self._last_refusal = time.monotonic()

    def wait(self, seconds: float, quiet: float) -> bool:
        """Once closed, block until accepted calls have left and none was refused for `quiet` seconds; true if within `seconds`."""
        end = time.monotonic() + seconds
        with self._changed:
            while (now := time.monotonic()) < end:
                remaining = min(self._last_refusal + quiet, self._closed_at + 4 * quiet) - now  # Some callers never stop.
                if not self._accepted and remaining <= 0:
                    return True
                self._changed.wait(end - now if self._accepted else min(end - now, remaining))
            return False
