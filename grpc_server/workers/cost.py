"""The cost of a run of a model, and the placement that follows from it: inline or in worker processes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from foretell_lifecycle.platform import core_wait_seconds
from grpc_server.rows.mixed_rows import Matrix, Rows, repeat_rows

BATCH = 64
"""Rows of the largest run that is measured."""

_INLINE_ROW, _INLINE_BATCH = 0.001, 0.004
"""Longest runs, in seconds, for which an inline model may hold the interpreter, and with it all calls. A worker costs 0.04 ms a run
and 150 MB: a support vector machine of 0.1 ms would only lose by it, while a forest of 4 ms delays health checks and refusals."""

_LONG = 0.025
"""Seconds of a run after which no larger one is measured: the next size is eight times as large."""

_ENOUGH = 0.06
"""Seconds of measurement after which a size is not run again."""

_RUNS = 9
"""Most runs of one size."""


class Placement(StrEnum):
    """Where a model runs."""

    INLINE = "inline"
    """On the thread that takes calls."""
    PROCESS = "process"
    """In worker processes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a run; infinite if it was not measured, because a smaller run was long or failed."""

    one_row: float
    batch: float
    """A run of 64 rows."""

    @property
    def patience(self) -> float:
        """Seconds that rows may wait for others, to share a run of a worker: a few percent of a run; 0 if it was not measured."""
        return 0.05 * self.one_row if self.one_row < math.inf else 0.0


def measure(predict: Callable[[Any], Matrix], sample: Rows, *, brief: bool = False) -> Cost:
    """The cost of a model on the rows of `sample`, repeated as needed; the model is warm afterwards.

    Takes some 0.2 s, or two runs of one row if these take longer, and with `brief`. Never raises: a model that fails on the sample
    has no known cost.
    """
    seconds = dict.fromkeys((1, BATCH // 8, BATCH), math.inf)
    for rows in seconds:
        try:
            seconds[rows] = _quickest(predict, repeat_rows(sample, rows), 1 if brief else _RUNS)
        except BaseException:  # A model may raise anything, SystemExit too.
            break
        if brief or seconds[rows] > _LONG:
            break
    return Cost(seconds[1], seconds[BATCH])


def placement(cost: Cost, wanted: Literal["auto", "inline", "process"]) -> Placement:
    """The placement of a model of this cost: as wanted, or by its cost."""
    if wanted != "auto":
        return Placement(wanted)
    cheap = cost.one_row <= _INLINE_ROW and cost.batch <= _INLINE_BATCH
    return Placement.INLINE if cheap else Placement.PROCESS


def cores() -> int:
    """Cores that this process may use, by its affinity and by the quota of its container; at least 1."""
    import joblib  # ONNX models need nothing else of it.

    return int(joblib.cpu_count())


def _quickest(predict: Callable[[Any], Matrix], rows: Rows, most: int) -> float:
    """Seconds of the quickest run after the first one, which may set things up."""
    predict(rows)
    runs: list[float] = []
    while not runs or (len(runs) < most and sum(runs) < _ENOUGH):
        runs.append(_seconds(predict, rows))
    return min(runs)


def _seconds(predict: Callable[[Any], Matrix], rows: Rows) -> float:
    """Seconds of one run, without those for which it waited for a core: other processes may want all of them."""
    waited, used, start = core_wait_seconds(), time.thread_time(), time.perf_counter()
    predict(rows)
    taken, used = time.perf_counter() - start, time.thread_time() - used
    return max(taken - (core_wait_seconds() - waited), used)  # A wait outside the run may count too; the run used its CPU time.
