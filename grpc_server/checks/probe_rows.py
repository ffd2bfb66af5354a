"""Rows that tell a conversion from its original: all over the range of the columns, at its edges, and where the model jumps."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import inf, nextafter

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from numpy.typing import NDArray

from foretell_contract.contract import Contract
from foretell_contract.rows.columns import Leaf, leaves
from foretell_contract.rules.rules import FieldRules
from grpc_server.checks.golden_rows import GOLDEN_TOLERANCE
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.store.manifest import GoldenRow

_INSIDE, _EDGES, _CORNERS, _MISSING, _LINES = 4096, 1024, 1024, 1024, 256
"""How many rows of each kind, and how many lines on which a threshold is looked for."""

_HALVINGS = 64
"""Enough to bring two float64 numbers next to each other, unless one of them is nearly zero."""

_NUDGE = 1e-6
"""Of a column's range: far more than rounding, far less than the distance of two thresholds."""

_FRACTIONS = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}


@dataclass(frozen=True, slots=True)
class Ranges:
    """The smallest and the largest value of each column, whether it takes whole numbers only, and whether one may be missing."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    whole: NDArray[np.bool_]
    nullable: NDArray[np.bool_]

    def inside(self, random: np.random.Generator, count: int) -> Matrix:
        """Rows all over the range."""
        rows = random.uniform(self.low, self.high, (count, len(self.low)))
        return np.where(self.whole, np.rint(rows), rows)


def ranges(columns: tuple[str, ...], contract: Contract | None, name: str, golden: tuple[GoldenRow, ...]) -> Ranges:
    """The bounds in the contract's services for the model `name`, the widest where several versions bound a column.

    Where the contract bounds a column on one side or not at all, the range of the golden rows, widened by half of it on both sides.
    Raises ModelError naming a column about which neither says anything.
    """
    fields = _fields(contract, name) if contract else {}
    low, high = np.array([_range(column, fields.get(column, []), golden) for column in columns]).T
    whole = np.array([_whole(fields.get(column, [])) for column in columns])
    nullable = np.array([_nullable(column, fields.get(column, []), golden) for column in columns])
    return Ranges(np.where(whole, np.rint(low), low), np.where(whole, np.rint(high), high), whole, nullable)


def probes(where: Ranges, predict: Callable[[Matrix], Matrix]) -> Matrix:
    """The same rows every time: inside the range, with some columns at its edges, at its corners, and at thresholds of the model.

    Of up to ten columns these are all the corners. Where values may be missing, some of the first rows come again without them.
    """
    random = np.random.default_rng(0)
    edges = where.inside(random, _EDGES)
    edges = np.where(random.random(edges.shape) < 0.25, where.low, edges)
    edges = np.where(random.random(edges.shape) < 0.25, where.high, edges)
    width = len(where.low)
    few = 2**width <= _CORNERS
    highs = np.array(list(product((False, True), repeat=width))) if few else random.random((_CORNERS, width)) < 0.5
    corners = np.where(highs, where.high, where.low)
    rows = [where.inside(random, _INSIDE), edges, corners, where.low, where.high, _thresholds(predict, where, random)]
    if where.nullable.any():
        holes = where.nullable & (random.random((_MISSING, width)) < random.choice([0.1, 0.5, 1.0], (_MISSING, 1)))
        rows.append(np.where(holes, np.nan, rows[0][:_MISSING]))
    return np.vstack(rows)


def _thresholds(predict: Callable[[Matrix], Matrix], where: Ranges, random: np.random.Generator) -> Matrix:
    """Pairs of rows between which the output jumps because one column passes a threshold, by the smallest step of a float64.

    Trees have such thresholds, rounding moves them, and a column of few different values often takes just these. Between two rows
    that differ in one column, the half is searched in which the output changes more. A jump that goes away when the other columns
    change a little is not of one column, such as the border between two classes; no row meets it but by chance.
    """
    left, right = where.inside(random, _LINES), where.inside(random, _LINES)
    moves = np.eye(len(where.low), dtype=bool)[random.integers(len(where.low), size=_LINES)]
    right = np.where(moves & ~where.whole, right, left)
    nudge = np.where(moves | where.whole, 0.0, random.uniform(-_NUDGE, _NUDGE, left.shape) * (where.high - where.low))
    at_left, at_right = predict(left), predict(right)
    for _ in range(_HALVINGS):
        middle = left + (right - left) / 2
        at_middle = predict(middle)
        go_left = (np.abs(at_middle - at_left).max(1) >= np.abs(at_right - at_middle).max(1))[:, None]
        left, at_left = np.where(go_left, left, middle), np.where(go_left, at_left, at_middle)
        right, at_right = np.where(go_left, middle, right), np.where(go_left, at_middle, at_right)
    nudged = np.abs(predict(left + nudge) - predict(right + nudge)).max(1)
    jumps = np.minimum(np.abs(at_left - at_right).max(1), nudged) > GOLDEN_TOLERANCE
    return np.vstack((left[jumps], right[jumps]))


def _fields(contract: Contract, name: str) -> dict[str, list[Leaf]]:
    """The fields whose values fill each column."""
    found: dict[str, list[Leaf]] = {}
    messages = {method.features.full_name: method.features for s in contract.services if s.model == name for method in s.methods}
    for message in messages.values():
        for leaf in leaves(message, contract.rules, contract.options):
            for column in leaf.columns:
                found.setdefault(column, []).append(leaf)
    return found


def _whole(fields: list[Leaf]) -> bool:
    return bool(fields) and all(leaf.value.cpp_type not in _FRACTIONS for leaf in fields)


def _nullable(column: str, fields: list[Leaf], golden: tuple[GoldenRow, ...]) -> bool:
    return any(leaf.nullable for leaf in fields) or any(row.features[column] is None for row in golden)


def _range(column: str, fields: list[Leaf], golden: tuple[GoldenRow, ...]) -> tuple[float, float]:
    bounds = [_bounds(leaf.value, leaf.rules) for leaf in fields] or [(-inf, inf)]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    if -inf < low <= high < inf:
        return low, high
    values = [float(value) for row in golden if (value := row.features[column]) is not None]
    if not values:
        raise ModelError(f"nothing tells the range of the column {column!r}: bound it in the contract (--protos), or pass --golden")
    wider = (max(values) - min(values)) / 2 or abs(values[0]) / 2 or 0.5
    return (low if low > -inf else min(values) - wider), (high if high < inf else max(values) + wider)


def _bounds(field: FieldDescriptor, rules: FieldRules) -> tuple[float, float]:
    """The smallest and the largest value that the rules allow; infinite where they allow any."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return 0.0, 1.0
    values = {} if rules.ignored else rules.values
    chosen = values.get("in") or ((values["const"],) if "const" in values else ())
    if chosen:
        return float(min(chosen)), float(max(chosen))
    beside = nextafter if field.cpp_type in _FRACTIONS else _next_whole
    low, high = values.get("gte", -inf), values.get("lte", inf)
    if "gt" in values:
        low = beside(values["gt"], inf)
    if "lt" in values:
        high = beside(values["lt"], -inf)
    return (low, high) if low <= high else (-inf, inf)  # A lower bound above the upper one means outside of the gap.


def _next_whole(number: float, towards: float) -> float:
    return number + (1 if towards > number else -1)
