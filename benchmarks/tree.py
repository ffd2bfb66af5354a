"""CPU, context switches and memory of a process tree, from /proc."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY, _IDLE = 0.3, 0.01
"""Seconds between two samples, and the CPU seconds between them that count as idle."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of a process tree since its start."""

    cpu_seconds: float
    switches: int
    """Context switches of all threads, voluntary or not."""
    peak_rss_mib: float
    """Sum of the peaks of its processes."""


def usage(pid: int) -> Usage:
    """Usage of the tree of `pid` so far."""
    cpu, switches, peak = 0.0, 0, 0
    for folder in _tree(pid):
        cpu += time.clock_gettime(_clock(int(folder.name)))
        peak += _sum(folder / "status", "VmHWM")
        switches += sum(_sum(task / "status", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches") for task in _tasks(folder))
    return Usage(cpu, switches, peak / 1024)


def _clock(pid: int) -> int:
    """CPU clock of a process with all its threads; the ticks of /proc are too coarse for a few requests."""
    return ~pid << 3 | 2  # As clock_getcpuclockid() computes it on Linux.


def settle(used: Callable[[], float], patience: float = 10.0) -> None:
    """Wait until the CPU seconds stop growing, at most `patience` seconds.

    Work of a server after its start must not count as the cost of requests.
    """
    end, before = time.monotonic() + patience, used()
    while time.monotonic() < end:
        time.sleep(_LOOK_EVERY)
        now = used()
        if now - before <= _IDLE:
            return
        before = now


def loaded(pid: int, library: str) -> int:
    """Number of processes in the tree of `pid` that have mapped compiled code of a Python package."""
    return sum(f"/{library}/" in (folder / "maps").read_text() for folder in _tree(pid))


def kill_tree(pid: int) -> None:
    """Kill all processes of the tree."""
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
    except OSError:  # The thread has ended.
        return 0
    return sum(int(value.split()[0]) for name, _, value in lines if name in names)
