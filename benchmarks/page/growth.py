"""Computes how the cost of a request grows with its rows or columns."""

from collections.abc import Iterable
from math import log
from statistics import linear_regression

from benchmarks.cases import Load
from benchmarks.rounds import Result

DECADES = 100
"""The exponent is fitted from the largest size down to one at least this many times smaller."""


def sizes(results: Iterable[Result]) -> dict[Load, int]:
    """The loads of a growth case with their size, rows or columns, smallest first."""
    loads = dict.fromkeys(result.load for result in results)
    grown = {load: int(load.workload.removeprefix("linear")) if "linear" in load.workload else load.rows for load in loads}
    return dict(sorted(grown.items(), key=lambda pair: pair[1]))


def last_decades(grown: Iterable[int]) -> list[int]:
    """The fewest largest sizes that span two decades; all sizes if none do."""
    ordered = sorted(grown)
    smallest = max((size for size in ordered if size * DECADES <= ordered[-1]), default=ordered[0])
    return [size for size in ordered if size >= smallest]


def power(costs: dict[int, float]) -> float:
    """The exponent with which a cost grows over the last decades, by least squares on logarithms; 1 means in proportion."""
    chosen = last_decades(costs)
    return linear_regression([log(size) for size in chosen], [log(costs[size]) for size in chosen]).slope
