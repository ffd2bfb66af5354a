"""How long something may take where it has to share the cores with what else runs."""

import time
from pathlib import Path

_PATIENCE = 3
"""How many times as long it may take by the clock where it has to wait for a core, which what serves gets first."""


class Budget:
    """Seconds that a process may take, less those for which it has waited for a core, from now on."""

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid = pid
        self._seconds = seconds
        self._start = time.monotonic()
        self._waited = _waited(pid)

    @property
    def left(self) -> float:
        """Until when it is to be looked at again; 0 or less where it has taken too long."""
        taken = time.monotonic() - self._start
        waited = _waited(self._pid) - self._waited
        return min(self._seconds - taken + waited, _PATIENCE * self._seconds - taken)


def _waited(pid: int) -> float:
    """Seconds for which the first thread of a process was ready to run, and no core was free; 0 where Linux does not count them."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
