"""Failpoints: places in the code at which a test can kill the process."""

import os
import signal

VARIABLE = "FORETELL_FAILPOINT"
"""Environment variable with the name of the failpoint to die at."""


def failpoint(name: str) -> None:
    """Die as by `kill -9` if the environment names this failpoint. It is read at each call, so use it in rare steps only."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
