"""A process that ends with the one that started it, stands back behind it, and can be told from it."""

import contextlib
import fcntl
import os
import select
import signal
import socket
from pathlib import Path


def end_with(lifeline: socket.socket) -> None:
    """From now on the kernel kills this process, and what it has started, when the other end of `lifeline` closes.

    Not a matter of this interpreter, because a model that hangs may never let another thread run.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # Nothing is ever sent there: it closed before.
        raise SystemExit(1)


def outlive(lifeline: socket.socket) -> None:
    """From now on it no longer does."""
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) & ~os.O_ASYNC)


def show_as(name: str) -> None:
    """From now on `ps` and `top` call this process so, by the first 15 characters."""
    with contextlib.suppress(OSError):  # Not on Linux.
        Path("/proc/self/comm").write_text(name[:15])


def stand_back(nice: int) -> None:
    """From now on this process, which leads a session of its own, gives way to others: from 0, not at all, to 19, always."""
    os.nice(nice)
    with contextlib.suppress(OSError):  # Linux may weigh whole sessions against each other instead of processes.
        Path("/proc/self/autogroup").write_text(str(nice))
