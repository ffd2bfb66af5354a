"""How long a shadow rests between two calls, so that callers of production do not notice it."""

import time
from collections.abc import Callable

_RESTS_PER_RUN = 200
"""Seconds of rest for each second of a run while the server uses a whole core.

A run slows the calls that meet it. A shadow that runs for 0.5 % of the time meets
fewer than one call in a hundred, so p99 stays.
"""


class DutyCycle:
    """Turns the length of a run into the rest after it. For one thread.

    The server is as busy as the CPU time that its process has used per second since the run before: 0 is idle, 1 is a whole core.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time) -> None:
        """Both count seconds: `clock` all of them, `used` those for which the process had a core."""
        self._clock, self._used = clock, used
        self._at, self._used_before = clock(), used()

    def rest(self, run: float) -> float:
        """Seconds to rest after a run of `run` seconds."""
        at, used = self._clock(), self._used()
        busy = (used - self._used_before) / max(at - self._at, 1e-6)
        self._at, self._used_before = at, used
        return run * _RESTS_PER_RUN * min(busy, 1.0)
