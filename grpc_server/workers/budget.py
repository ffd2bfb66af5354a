"""How long something may take where it has to share the cores with what else runs."""

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 5
"""How many times as long something may take by the clock where it pauses, or waits for a core, for what serves."""


class Budget:
    """Seconds that a process may take, less those for which it has paused or waited for a core, from now on."""

    def __init__(self, pid: int, seconds: float, paused: Callable[[], float] = lambda: 0.0) -> None:
        """`paused` tells for how many seconds it has paused so far."""
        self._pid = pid
        self._seconds = seconds
        self._start = time.monotonic()
        self._paused = paused
        self._given = self._given_away()

    @property
    def most(self) -> float:
        """Seconds after which it has taken too long however long it has paused or waited."""
        return PATIENCE * self._seconds

    @property
    def taken(self) -> float:
        """By the clock."""
        return time.monotonic() - self._start

    @property
    def own(self) -> float:
        """Those that it had for itself."""
        return self.taken - self._given_away() + self._given

    @property
    def left(self) -> float:
        """Until when it is to be looked at again; 0 or less where it has taken too long."""
        return min(self._seconds - self.own, self.most - self.taken)

    def _given_away(self) -> float:
        return self._paused() + _waited(self._pid)


def _waited(pid: int) -> float:
    """Seconds for which the first thread of a process was ready to run, and no core was free; 0 where Linux does not count them."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
