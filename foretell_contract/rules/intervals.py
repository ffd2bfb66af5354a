"""Sets of numbers as sorted, disjoint, closed intervals."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Number = Any
"""An int or a float. Infinity means no bound, for ints too."""

Interval = tuple[Number, Number]


@dataclass(frozen=True, slots=True)
class Line:
    """The ordered numbers of one type, such as double or int32."""

    low: Number
    high: Number
    step: Callable[[Number, Number], Number]
    """Returns the neighbour of its first argument in the direction of the second."""


def _float(value: float, towards: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(towards)))


def _integer(value: Number, towards: float) -> Number:
    return value + (1 if towards > 0 else -1)


COUNTS = Line(0, math.inf, _integer)
_INTEGERS = Line(-math.inf, math.inf, _integer)
_INT32, _INT64 = (Line(-(2**bits), 2**bits - 1, _integer) for bits in (31, 63))
_UINT32, _UINT64 = (Line(0, 2**bits - 1, _integer) for bits in (32, 64))

LINES = {
    "double": Line(-math.inf, math.inf, math.nextafter),
    "float": Line(-math.inf, math.inf, _float),
    **dict.fromkeys(("int32", "sint32", "sfixed32", "enum"), _INT32),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), _INT64),
    **dict.fromkeys(("uint32", "fixed32"), _UINT32),
    **dict.fromkeys(("uint64", "fixed64"), _UINT64),
    "bool": Line(0, 1, _integer),
    "duration": _INTEGERS,
    "timestamp": _INTEGERS,
}
"""The kinds of rules on numbers. Durations and timestamps are counted in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """A set of numbers on one line. Immutable."""

    line: Line
    parts: tuple[Interval, ...]

    @classmethod
    def of(cls, line: Line, parts: Iterable[Interval]) -> "Intervals":
        """The union of the parts, clipped to the line; a part whose end is below its start is empty."""
        joined: list[Interval] = []
        for low, high in sorted((max(low, line.low), min(high, line.high)) for low, high in parts):
            if low > high:
                continue
            if joined and line.step(joined[-1][1], math.inf) >= low:
                joined[-1] = (joined[-1][0], max(joined[-1][1], high))
            else:
                joined.append((low, high))
        return cls(line, tuple(joined))

    @classmethod
    def everything(cls, line: Line) -> "Intervals":
        """The whole line."""
        return cls(line, ((line.low, line.high),))

    @classmethod
    def points(cls, line: Line, values: Iterable[Number]) -> "Intervals":
        """Exactly these numbers."""
        return cls.of(line, [(value, value) for value in values])

    def __and__(self, other: "Intervals") -> "Intervals":
        pairs = ((a, b) for a in self.parts for b in other.parts)
        return Intervals.of(self.line, [(max(a[0], b[0]), min(a[1], b[1])) for a, b in pairs])

    def __le__(self, other: "Intervals") -> bool:
        return all(any(low >= left and high <= right for left, right in other.parts) for low, high in self.parts)

    def __contains__(self, value: Number) -> bool:
        return any(low <= value <= high for low, high in self.parts)

    def without(self, values: Iterable[Number]) -> "Intervals":
        """The set without these numbers."""
        line, left = self.line, self
        for value in values:
            below = [(line.low, line.step(value, -math.inf))] if value > line.low else []
            above = [(line.step(value, math.inf), line.high)] if value < line.high else []
            left = left & Intervals(line, tuple(below + above))
        return left
