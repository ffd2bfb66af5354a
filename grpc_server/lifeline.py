"""A process that ends with the one that started it."""

import fcntl
import os
import select
import signal
import socket


def end_with(lifeline: socket.socket) -> None:
    """From now on the kernel kills this process, and what it has started, when the other end of `lifeline` closes.

    Not a matter of this interpreter, because a model that hangs may never let another thread run.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # Nothing is ever sent there: it closed before.
        raise SystemExit(1)
