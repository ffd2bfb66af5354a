"""A process that stands back pauses again and again while the machine is busy.

A low priority is not enough. Linux moves a task that waits at one core to another when that falls idle, and a core on which a
process never rests never does, however low its priority: what serves then waits for milliseconds behind itself. In the pauses the
core falls idle.

The process pauses by itself, by timers of its own. One that another stops and sends on costs callers most of what the pauses save,
for the other has to wake up for it, and comes late where the cores are wanted.
"""

import mmap
import os
import signal
import struct
import time
from contextlib import AbstractContextManager
from types import FrameType
from typing import Self, TypeAlias

from grpc_server.workers.machine import Machine
from grpc_server.workers.timers import Timer, Wait

PAUSE_SECONDS, BURST_SECONDS = 0.0027, 0.0003
"""How long it pauses, and how long it then runs, always at the same times of CLOCK_MONOTONIC, which all processes share."""

_LOOK_SECONDS = 0.05
"""From one look at the machine to the next."""

_PERIOD_SECONDS = PAUSE_SECONDS + BURST_SECONDS

_LOOK = signal.SIGRTMIN + 9
"""The signal to look again."""


class Paused:
    """Seconds for which a process has paused, in memory that it shares with who waits for it.

    One number says it all, so that nobody ever sees half of a change: the seconds or, while it has pauses and below zero, how much
    less they are than if it had always had them.
    """

    def __init__(self, descriptor: int = -1) -> None:
        """`descriptor` is one of `shared`, and not needed any more afterwards; without one, nothing is shared."""
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)

    @staticmethod
    def shared() -> int:
        """A descriptor of such memory, none of which have passed."""
        descriptor = os.memfd_create("paused")
        os.ftruncate(descriptor, mmap.PAGESIZE)
        return descriptor

    def close(self) -> None:
        """Give the memory back, and the descriptor that it holds. Nobody may ask any more."""
        self._memory.close()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._at(time.monotonic())

    def clock(self) -> float:
        """Seconds on a clock that stands still during pauses."""
        now = time.monotonic()
        return now - self._at(now)

    def begin(self) -> None:
        """From now on it pauses. Only the process itself may say so."""
        now = time.monotonic()
        self._tell(self._at(now) - _pauses(now) - 1)

    def end(self) -> None:
        """From now on it does not."""
        self._tell(self.seconds)

    def _at(self, now: float) -> float:
        told: float = struct.unpack_from("d", self._memory)[0]
        return told if told >= 0 else told + 1 + _pauses(now)

    def _tell(self, number: float) -> None:
        struct.pack_into("d", self._memory, 0, number)


def _pauses(now: float) -> float:
    """Seconds of all pauses since the clock began."""
    periods, seconds = divmod(now, _PERIOD_SECONDS)
    return periods * PAUSE_SECONDS + min(seconds, PAUSE_SECONDS)


Pausing: TypeAlias = AbstractContextManager[object]
"""What is done with it pauses, or does not: see Pauses."""


class Pauses:
    """What the main thread does `with` these, it does with pauses while the machine is busy. Other threads do not pause.

    One object a process, which the main thread makes.
    """

    def __init__(self, paused: Paused) -> None:
        self._paused = paused
        self._machine = Machine()
        self._wanted = self._pausing = False
        self._ends = Wait()
        self._begins, self._looks = Timer(self._ends.number), Timer(_LOOK)
        signal.signal(_LOOK, self._look)
        signal.siginterrupt(_LOOK, False)

    def __enter__(self) -> Self:
        self._wanted = True
        self._ends.start(_next_end(), _PERIOD_SECONDS)
        self._looks.start(time.monotonic() + _LOOK_SECONDS, _LOOK_SECONDS)
        self._turn()
        return self

    def __exit__(self, *_error: object) -> None:
        self._wanted = False
        self._looks.stop()
        self._stop()
        self._ends.stop()  # Not before: a pause may have begun.

    def _look(self, _number: int, _frame: FrameType | None) -> None:
        """Also in the middle of any method here."""
        if self._wanted and self._pausing == self._machine.is_free():
            self._turn()

    def _turn(self) -> None:
        """Have pauses from now on, or none, as the machine is."""
        if self._machine.is_free():
            self._stop()
        else:
            self._pausing = True
            self._paused.begin()
            self._begins.start(_next_end() - PAUSE_SECONDS, _PERIOD_SECONDS)  # Has passed where others pause already.

    def _stop(self) -> None:
        self._begins.stop()
        if self._pausing:
            self._paused.end()
            self._pausing = False


def _next_end() -> float:
    """When the pause ends that has begun, or else the next one."""
    return (time.monotonic() - PAUSE_SECONDS) // _PERIOD_SECONDS * _PERIOD_SECONDS + _PERIOD_SECONDS + PAUSE_SECONDS
