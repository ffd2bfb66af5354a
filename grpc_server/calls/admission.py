"""Who may still come in: the count of accepted work, and the door that closes for the drain."""

import threading
import time

from grpc_server.calls.refusal import Draining


class Admission:
    """Counts accepted work from any thread. Once closed it only counts down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._inside = 0
        self._closed = False
        self._closed_at = self._knocked = 0.0

    def enter(self) -> None:
        """Accept one piece of work, to be answered and then left. Raises Draining once closed."""
        with self._lock:
            if self._closed:
                self._knocked = time.monotonic()
                raise Draining("the server is stopping; retry elsewhere")
            self._inside += 1

    def leave(self) -> None:
        """The work was answered, or nobody waits for it."""
        with self._lock:
            self._inside -= 1
            if self._closed and not self._inside:
                self._changed.notify_all()

    def close(self) -> None:
        """Accept nothing more."""
        with self._changed:
            self._closed = True
            self._closed_at = self._knocked = time.monotonic()

    def wait(self, seconds: float, quiet: float) -> bool:
        """Once closed, block until all accepted work is answered and nobody has knocked for `quiet` seconds.

        A caller who never stops knocking is waited for four times as long. Whether all was answered within `seconds`.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while (now := time.monotonic()) < end:
                silence = min(self._knocked + quiet, self._closed_at + 4 * quiet) - now
                if not self._inside and silence <= 0:
                    return True
                self._changed.wait(end - now if self._inside else min(end - now, silence))
            return False
