"""What a run of a model costs, and where it should therefore run."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from grpc_server.rows.mixed_rows import Matrix, Rows, repeat_rows

BATCH = 64
"""Rows of the larger run that is measured."""

_CHEAP_ROW, _CHEAP_BATCH = 0.001, 0.004
"""Most seconds for which a model may take the interpreter from the server's calls. A worker costs 0.04 ms a run and 150 MB: a
support vector machine of 0.1 ms would only lose by it, while a forest of 4 ms in line holds up health checks and refusals."""

_LONG = 0.025
"""Seconds of a run after which nothing larger is tried: the next size is eight times as large."""

_ENOUGH = 0.06
"""Seconds after which a size is not run again."""

_RUNS = 9


Clock: TypeAlias = Callable[[], float]
"""Seconds."""


class Placement(StrEnum):
    """Where a model runs."""

    INLINE = "inline"
    """Where calls are taken in."""
    PROCESS = "process"
    """In processes of its own."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a run; infinite where it was not measured, because a smaller one took long already or failed."""

    one_row: float
    batch: float
    """Of 64 rows."""


def measure(predict: Callable[[Any], Matrix], sample: Rows, clock: Clock = time.perf_counter) -> Cost:
    """Time a model on the rows of `sample`, repeated as needed; it is warm afterwards.

    Takes some 0.2 s, or two runs of one row where these take longer. Never raises: where the model refuses the sample, its cost
    is not known.
    """
    seconds = dict.fromkeys((1, BATCH // 8, BATCH), math.inf)
    for rows in seconds:
        try:
            seconds[rows] = _least(predict, repeat_rows(sample, rows), clock)
        except BaseException:  # A model may raise anything, SystemExit too.
            break
        if seconds[rows] > _LONG:
            break
    return Cost(seconds[1], seconds[BATCH])


def placement(cost: Cost, asked: Literal["auto", "inline", "process"]) -> Placement:
    """Where a model of this cost runs: as asked, else in line where it is cheap."""
    if asked != "auto":
        return Placement(asked)
    cheap = cost.one_row <= _CHEAP_ROW and cost.batch <= _CHEAP_BATCH
    return Placement.INLINE if cheap else Placement.PROCESS


def cores() -> int:
    """Cores that this process may use, by its affinity and by the quota of its container; at least 1."""
    import joblib  # Where all models are ONNX, nothing else needs it.

    return int(joblib.cpu_count())


def _least(predict: Callable[[Any], Matrix], rows: Rows, clock: Clock) -> float:
    """Seconds of the quickest of a few runs after the first, which may set things up: in the others, something else ran as well."""
    predict(rows)
    runs: list[float] = []
    while not runs or (len(runs) < _RUNS and sum(runs) < _ENOUGH):
        used, start = time.thread_time(), clock()
        predict(rows)
        runs.append(max(clock() - start, time.thread_time() - used))  # Who comes late to a pause runs on in it: see timers.py.
    return min(runs)
