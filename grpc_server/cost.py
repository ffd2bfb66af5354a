"""What one run of a model costs, measured while it warms up, and where the model therefore runs."""

import time
from statistics import median

import numpy as np

from grpc_server.runtimes import Matrix, Runtime

INLINE_SECONDS = 0.001
"""Most that a run of one row may cost a model that runs on the shell's own loop: so long nobody else is answered."""

_RUNS = 5


def cost(runtime: Runtime, rows: Matrix) -> float:
    """Seconds that a run of one row takes: the median of a few runs on one of `rows`, or on zeros where there are none."""
    row = rows[:1] if len(rows) else np.zeros((1, runtime.width))
    runtime.predict(row)  # The first run builds what later ones find.
    return median(_seconds(runtime, row) for _ in range(_RUNS))


def _seconds(runtime: Runtime, row: Matrix) -> float:
    start = time.perf_counter()
    runtime.predict(row)
    return time.perf_counter() - start
