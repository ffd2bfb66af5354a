"""What a process and its descendants have used."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY, _IDLE = 0.3, 0.01
"""Seconds between two looks, and the CPU seconds meanwhile that are still called idle."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a whole tree, since its start."""

    cpu_seconds: float
    switches: int
    """Context switches of all threads, voluntary or not."""
    peak_rss_mib: float
    """The peaks of the processes, added up."""


def usage(pid: int) -> Usage:
    """What the tree below `pid` has used so far."""
    cpu, switches, peak = 0.0, 0, 0
    for folder in _tree(pid):
        cpu += time.clock_gettime(_clock(int(folder.name)))
        peak += _sum(folder / "status", "VmHWM")
        switches += sum(_sum(task / "status", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches") for task in _tasks(folder))
    return Usage(cpu, switches, peak / 1024)


def _clock(pid: int) -> int:
    """The clock of the CPU time of a process and all its threads; /proc counts in ticks, within which a few requests are done."""
    return ~pid << 3 | 2  # As clock_getcpuclockid() makes it on Linux.


def settle(used: Callable[[], float], patience: float = 10.0) -> None:
    """Wait until the CPU seconds that were used so far stay as they are, but not for ever.

    What a server does for itself after its start, no request costs.
    """
    end, before = time.monotonic() + patience, used()
    while time.monotonic() < end:
        time.sleep(_LOOK_EVERY)
        now = used()
        if now - before <= _IDLE:
            return
        before = now


def loaded(pid: int, library: str) -> int:
    """How many processes of the tree below `pid` have compiled code of a Python package in memory."""
    return sum(f"/{library}/" in (folder / "maps").read_text() for folder in _tree(pid))


def kill_tree(pid: int) -> None:
    """Kill what is left of the tree."""
    for folder in _tree(pid):
        with suppress(ProcessLookupError):
            os.kill(int(folder.name), signal.SIGKILL)


def _tree(pid: int) -> list[Path]:
    folder = Path(f"/proc/{pid}")
    try:
        children = " ".join((task / "children").read_text() for task in _tasks(folder)).split()
    except OSError:
        return []
    return [folder, *(member for child in children for member in _tree(int(child)))]


def _tasks(folder: Path) -> list[Path]:
    return list((folder / "task").iterdir())


def _sum(status: Path, *names: str) -> int:
    try:
        lines = [line.partition(":") for line in status.read_text().splitlines()]
    except OSError:  # A thread that has ended since.
        return 0
    return sum(int(value.split()[0]) for name, _, value in lines if name in names)
