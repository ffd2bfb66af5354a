"""Processes that stand back run in bursts while the machine is busy, and are stopped in between.

A low priority is not enough. Linux moves a task that waits at one core to another when that falls idle, and a core on which a
process never rests never does, however low its priority: what serves then waits for milliseconds behind itself. In the pauses the
core falls idle.
"""

import ctypes
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

BURST_SECONDS, PAUSE_SECONDS = 0.0005, 0.001

_LOOK_SECONDS = 0.2
"""From one look at the machine to the next. Linux counts in hundredths of a second."""

_FREE_CORES, _FREE_SHARE = 1.5, 0.9
"""What others must leave, in cores or as a share of the machine, for bursts to be needless."""

_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


class Paused:
    """Seconds for which some processes were stopped, in memory that they share with those who stop them and who wait for them.

    It is up to a tenth more: Linux stops a process when it would run next.
    """

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is one of `shared`, and not needed any more afterwards."""
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)

    @staticmethod
    def shared() -> int:
        """A descriptor of such memory, none of which have passed."""
        descriptor = os.memfd_create("paused")
        os.ftruncate(descriptor, mmap.PAGESIZE)
        return descriptor

    @property
    def seconds(self) -> float:
        """So far."""
        return float(struct.unpack_from("d", self._memory)[0])

    def add(self, seconds: float) -> None:
        """Only one process may."""
        struct.pack_into("d", self._memory, 0, self.seconds + seconds)

    def clock(self) -> float:
        """Seconds on a clock that stands still during pauses."""
        return time.perf_counter() - self.seconds


class Bursts:
    """Has processes run in bursts. They are children of this process, which has not waited for their ends."""

    def __init__(self, paused: Paused, is_free: Callable[[], bool] | None = None) -> None:
        """`is_free` says whether the machine is not busy; it is asked a few times a second at least."""
        self._paused = paused
        self._is_free = is_free or _Machine().is_free
        self._stopped_at: float | None = None
        self._next = 0.0

    def turn(self, children: Collection[int]) -> float:
        """Stop them, or have them go on, if it is time; seconds until it is time again. Without any, nothing is stopped."""
        now = time.monotonic()
        if not children:
            self._stopped_at, self._next = None, now
            return _LOOK_SECONDS
        if now < self._next:
            return self._next - now
        if self._stopped_at is not None:
            self._paused.add(now - self._stopped_at)
            self._stopped_at = None
            _signal(children, signal.SIGCONT)
            wait = BURST_SECONDS
        elif self._is_free():
            wait = _LOOK_SECONDS
        else:
            _signal(children, signal.SIGSTOP)
            self._stopped_at = now
            wait = PAUSE_SECONDS
        self._next = time.monotonic() + wait
        return wait


class _Machine:
    """How much of the machine is left by those who do not stand back."""

    def __init__(self) -> None:
        self._free = False
        self._at, self._spare, self._all = time.monotonic(), *_ticks()

    def is_free(self) -> bool:
        """Whether they leave so much that nobody waits for a core."""
        now = time.monotonic()
        if now - self._at >= _LOOK_SECONDS:
            before = self._spare, self._all
            self._at, self._spare, self._all = now, *_ticks()
            cores = os.cpu_count() or 1
            left = cores * (self._spare - before[0]) / max(self._all - before[1], 1)
            self._free = left >= min(_FREE_CORES, _FREE_SHARE * cores)
        return self._free


def _ticks() -> tuple[int, int]:
    """Time that cores were idle or with processes that stand back, and all of it."""
    user, nice, system, idle, wait, *others = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return nice + idle + wait, user + nice + system + idle + wait + sum(others)


def _signal(children: Collection[int], number: signal.Signals) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, number)


def go_on_without_parent() -> None:
    """From now on this process is not left stopped where the one dies that stops it."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGCONT)
