"""Places where a test lets a process die, to see what a crash there leaves behind."""

import os
import signal

VARIABLE = "FORETELL_FAILPOINT"
"""Environment variable with the name of the place."""


def failpoint(place: str) -> None:
    """Die at once, as by `kill -9`, where the environment names this place. It is asked each time: keep to what happens rarely."""
    if os.environ.get(VARIABLE) == place:
        os.kill(os.getpid(), signal.SIGKILL)
