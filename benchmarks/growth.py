"""How the cost of a request grows with what is in it."""

from collections.abc import Iterable
from math import log
from statistics import linear_regression

from benchmarks.cases import Load
from benchmarks.rounds import Result

DECADES = 100
"""The power is taken between the largest size and the one at least this many times smaller."""


def sizes(results: Iterable[Result]) -> dict[Load, int]:
    """The loads of a growth case with what grows, rows or columns, the smallest first."""
    loads = dict.fromkeys(result.load for result in results)
    grown = {load: int(load.workload.removeprefix("linear")) if "linear" in load.workload else load.rows for load in loads}
    return dict(sorted(grown.items(), key=lambda pair: pair[1]))


def last_decades(grown: Iterable[int]) -> list[int]:
    """The largest sizes, as few of them as span two decades; all where none do."""
    ordered = sorted(grown)
    smallest = max((size for size in ordered if size * DECADES <= ordered[-1]), default=ordered[0])
    return [size for size in ordered if size >= smallest]


def power(costs: dict[int, float]) -> float:
    """The power of the size with which a cost grows over the last decades: 1 is in proportion. By least squares on logarithms."""
    chosen = last_decades(costs)
    return linear_regression([log(size) for size in chosen], [log(costs[size]) for size in chosen]).slope
