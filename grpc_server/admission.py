"""Who may still come in: the count of accepted work, and the door that closes for the drain."""

import threading

from grpc_server.refusal import Draining


class Admission:
    """Counts accepted work from any thread. Once closed it only counts down."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    def enter(self) -> None:
        """Accept one piece of work, to be answered and then left. Raises Draining once closed."""
        with self._changed:
            if self._closed:
                raise Draining("the server is stopping; retry elsewhere")
            self._inside += 1

    def leave(self) -> None:
        """The work was answered, or nobody waits for it."""
        with self._changed:
            self._inside -= 1
            if not self._inside:
                self._changed.notify_all()

    def close(self) -> None:
        """Accept nothing more."""
        with self._changed:
            self._closed = True

    def wait(self, seconds: float) -> bool:
        """Block until all accepted work is answered; whether it was, within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._inside, seconds)
