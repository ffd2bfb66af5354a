"""How busy the machine is."""

import os
import time
from pathlib import Path

_LOOK_SECONDS, _FIRST_LOOK_SECONDS = 0.2, 0.05
"""For how long a look holds. Linux counts in hundredths of a second."""

_FREE_CORES, _FREE_SHARE = 1.5, 0.9
"""What others must leave, in cores or as a share of the machine, for it to be free."""


class Machine:
    """How much of the machine is left by those who do not stand back."""

    def __init__(self) -> None:
        self._free = False
        self._at, self._spare, self._all = time.monotonic(), *_ticks()
        self._wait = _FIRST_LOOK_SECONDS

    def is_free(self) -> bool:
        """Whether they leave so much that nobody waits for a core."""
        now = time.monotonic()
        if now - self._at >= self._wait:
            before = self._spare, self._all
            self._at, self._spare, self._all = now, *_ticks()
            cores = os.cpu_count() or 1
            left = cores * (self._spare - before[0]) / max(self._all - before[1], 1)
            self._free = left >= min(_FREE_CORES, _FREE_SHARE * cores)
            self._wait = _LOOK_SECONDS
        return self._free


def _ticks() -> tuple[int, int]:
    """Time that cores were idle or with processes that stand back, and all of it."""
    user, nice, system, idle, wait, *others = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return nice + idle + wait, user + nice + system + idle + wait + sum(others)
