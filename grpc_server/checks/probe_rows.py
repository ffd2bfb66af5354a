"""Rows on which a conversion and its original may differ: random ones, at the bounds, at thresholds of the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from numpy.typing import NDArray

from foretell_contract.contract import Contract
from foretell_contract.fields import TYPE_NAMES
from foretell_contract.rows.columns import Leaf, leaves
from foretell_contract.rules.accepted_values import accepted
from foretell_contract.rules.intervals import LINES
from foretell_contract.rules.rules import FieldRules
from grpc_server.checks.manifest_agreement import GOLDEN_TOLERANCE
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.store.manifest import GoldenRow

_INSIDE, _AT_BOUNDS, _CORNERS, _MISSING, _LINES = 4096, 1024, 1024, 1024, 256
"""Numbers of rows of each kind, and of lines between two rows on which a threshold is searched."""

_HALVINGS = 64
"""Halvings that bring two float64 numbers next to each other, unless one of them is nearly zero."""

_NUDGE = 1e-6
"""A share of a column's range: far above rounding, far below the distance between two thresholds."""

_FRACTIONS = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}


@dataclass(frozen=True, slots=True)
class ColumnRanges:
    """The range of each column: arrays of shape (columns,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    whole: NDArray[np.bool_]
    """Whether the column takes whole numbers only."""
    nullable: NDArray[np.bool_]
    """Whether a value may be missing."""

    def random_rows(self, random: np.random.Generator, count: int) -> Matrix:
        """Rows distributed evenly over the ranges, shape (count, columns)."""
        rows = random.uniform(self.low, self.high, (count, len(self.low)))
        return np.where(self.whole, np.rint(rows), rows)


def column_ranges(columns: Sequence[str], contract: Contract | None, model: str, golden: Sequence[GoldenRow]) -> ColumnRanges:
    """The bounds that the contract's services set for `model`: the widest, if several versions bound a column.

    A column without a bound on one side or both takes the range of the golden rows there, widened by half of it. Raises ModelError
    naming a column that neither the contract nor golden rows bound.
    """
    fields = _fields_by_column(contract, model) if contract else {}
    by_column = {column: fields.get(column, []) for column in columns}
    low, high = np.array([_range(column, each, golden) for column, each in by_column.items()]).T
    whole = np.array([_is_whole(each) for each in by_column.values()])
    missing = [any(row.features[column] is None for row in golden) for column in columns]
    nullable = np.array([any(leaf.nullable for leaf in each) for each in by_column.values()]) | missing
    return ColumnRanges(np.where(whole, np.rint(low), low), np.where(whole, np.rint(high), high), whole, nullable)


def probe_rows(ranges: ColumnRanges, predict: Callable[[Matrix], Matrix]) -> Matrix:
    """The same rows at each call: random, with columns at their bounds, in corners, and on both sides of thresholds of `predict`.

    With up to ten columns, every corner is among them. If values may be missing, some random rows are repeated without them.
    """
    random = np.random.default_rng(0)
    at_bounds = ranges.random_rows(random, _AT_BOUNDS)
    at_bounds = np.where(random.random(at_bounds.shape) < 0.25, ranges.low, at_bounds)
    at_bounds = np.where(random.random(at_bounds.shape) < 0.25, ranges.high, at_bounds)
    corners = _corners(ranges, random)
    inside = ranges.random_rows(random, _INSIDE)
    rows = [inside, at_bounds, corners, ranges.low, ranges.high, _threshold_rows(predict, ranges, random)]
    if ranges.nullable.any():
        holes = random.random((_MISSING, len(ranges.low))) < random.choice([0.1, 0.5, 1.0], (_MISSING, 1))
        rows.append(np.where(ranges.nullable & holes, np.nan, inside[:_MISSING]))
    return np.vstack(rows)


def _corners(ranges: ColumnRanges, random: np.random.Generator) -> Matrix:
    width = len(ranges.low)
    if 2**width <= _CORNERS:
        at_high = np.array(list(product((False, True), repeat=width)))
    else:
        at_high = random.random((_CORNERS, width)) < 0.5
    return np.where(at_high, ranges.high, ranges.low)


def _threshold_rows(predict: Callable[[Matrix], Matrix], ranges: ColumnRanges, random: np.random.Generator) -> Matrix:
    """Pairs of rows that differ by the smallest step of a float64 in one column, and between which the output jumps.

    Trees have such thresholds, rounding moves them, and a column of few different values often takes just these. The search halves
    the line between two rows that differ in one column, towards the larger change of the output. A jump that disappears when the
    other columns change slightly, such as the border between two classes, depends on several columns: real rows do not meet it.
    """
    left, right, in_other_columns = _lines(ranges, random)
    at_left, at_right = predict(left), predict(right)
    for _ in range(_HALVINGS):
        middle = left + (right - left) / 2
        at_middle = predict(middle)
        in_left_half = (np.abs(at_middle - at_left).max(1) >= np.abs(at_right - at_middle).max(1))[:, None]
        left, at_left = np.where(in_left_half, left, middle), np.where(in_left_half, at_left, at_middle)
        right, at_right = np.where(in_left_half, middle, right), np.where(in_left_half, at_middle, at_right)
    when_nudged = np.abs(predict(left + in_other_columns) - predict(right + in_other_columns)).max(1)
    jumps = np.minimum(np.abs(at_left - at_right).max(1), when_nudged) > GOLDEN_TOLERANCE
    return np.vstack((left[jumps], right[jumps]))


def _lines(ranges: ColumnRanges, random: np.random.Generator) -> tuple[Matrix, Matrix, Matrix]:
    """Both ends of lines along one column each, and a small change of the other columns; whole numbers stay as they are."""
    left, right = ranges.random_rows(random, _LINES), ranges.random_rows(random, _LINES)
    along = np.eye(len(ranges.low), dtype=bool)[random.integers(len(ranges.low), size=_LINES)]
    right = np.where(along & ~ranges.whole, right, left)
    change = random.uniform(-_NUDGE, _NUDGE, left.shape) * (ranges.high - ranges.low)
    return left, right, np.where(along | ranges.whole, 0.0, change)


def _fields_by_column(contract: Contract, model: str) -> dict[str, list[Leaf]]:
    found: dict[str, list[Leaf]] = {}
    messages = {method.features.full_name: method.features for s in contract.services if s.model == model for method in s.methods}
    for message in messages.values():
        for leaf in leaves(message, contract.rules, contract.options):
            for column in leaf.columns:
                found.setdefault(column, []).append(leaf)
    return found


def _is_whole(fields: Sequence[Leaf]) -> bool:
    return bool(fields) and all(leaf.value.cpp_type not in _FRACTIONS for leaf in fields)


def _range(column: str, fields: Sequence[Leaf], golden: Sequence[GoldenRow]) -> tuple[float, float]:
    bounds = [_bounds(leaf.value, leaf.rules) for leaf in fields] or [(-inf, inf)]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    if -inf < low <= high < inf:
        return low, high
    values = [float(value) for row in golden if (value := row.features[column]) is not None]
    if not values:
        raise ModelError(f"the column {column!r} has no range: bound it in the contract (--protos), or pass --golden")
    margin = (max(values) - min(values)) / 2 or abs(values[0]) / 2 or 0.5
    return (low if low > -inf else min(values) - margin), (high if high < inf else max(values) + margin)


def _bounds(field: FieldDescriptor, rules: FieldRules) -> tuple[float, float]:
    """The smallest and the largest value that the rules allow; infinite without a bound."""
    kind = TYPE_NAMES[field.type]
    numbers = accepted(kind, {} if rules.ignored else rules.values, field).numbers
    if numbers is None or not numbers.parts:
        return -inf, inf
    low, high, line = numbers.parts[0][0], numbers.parts[-1][1], LINES[kind]
    if kind == "bool":
        return low, high
    # Beyond 3e38, a bound only excludes infinities.
    return (low if low > max(line.low, -3e38) else -inf), (high if high < min(line.high, 3e38) else inf)
