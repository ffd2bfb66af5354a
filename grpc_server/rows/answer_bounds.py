"""The ranges of outputs within which every response keeps the rules of the contract: a quick check of all answers of a run.

It only accepts. Outputs that it does not accept become a response that protovalidate checks, which alone words a violation.
"""

import sys
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, Self

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from foretell_contract.fields import is_map, map_entry
from foretell_contract.rows.fast_bounds import Range, plain_range, plain_rules
from foretell_contract.rules.rules import Rules
from grpc_server.rows.mixed_rows import Matrix

FINITE: Range = (-sys.float_info.max, sys.float_info.max)
NOTHING: Range = (1.0, 0.0)
"""Accepts no number: the rules are none that a range expresses."""

_SMALL = 32
"""Up to this many numbers, pure Python is faster: numpy takes microseconds a call, as long as a small model for one row."""


def intersection(one: Range, other: Range) -> Range:
    """The numbers that are in both ranges."""
    return max(one[0], other[0]), min(one[1], other[1])


def number_range(field: FieldDescriptor, rules: Rules) -> Range:
    """The finite numbers that a field of doubles or floats may hold, if it is the only one, or all of its items."""
    options: Any = rules.declared("field", field)
    if is_map(field):
        found, field = plain_rules(options, "map", {"values", "min_pairs", "max_pairs"}), map_entry(field)[1]
        accepted = plain_range(found.get("values"), field) if found is not None else None
    elif field.is_repeated:
        found = plain_rules(options, "repeated", {"items", "min_items", "max_items"})
        accepted = plain_range(found.get("items"), field) if found is not None else None
    else:
        accepted = plain_range(options, field)
    if accepted is None:
        return NOTHING
    return intersection(accepted, FINITE) if field.type == FieldDescriptor.TYPE_DOUBLE else _before_rounding(accepted)


def _before_rounding(accepted: Range) -> Range:
    """The doubles whose nearest float is in the range."""
    largest = np.finfo(np.float32).max
    low, high = np.clip(accepted, -largest, largest).astype(np.float32)
    if float(low) < accepted[0]:
        low = np.nextafter(low, np.float32(np.inf))
    if float(high) > accepted[1]:
        high = np.nextafter(high, np.float32(-np.inf))
    return float(low), float(high)


class AnswerBounds:
    """The range of each output. Immutable; safe to use from any thread."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self._ranges = tuple(ranges) or (FINITE,)
        self._low, self._high = np.array(self._ranges, np.float64).T
        self._only = self._ranges[0] if len(set(self._ranges)) == 1 else None

    @classmethod
    def of_all(cls, methods: Iterable[Sequence[Range]]) -> Self:
        """The bounds of a model whose outputs have these ranges in each of several methods."""
        return cls([reduce(intersection, ranges) for ranges in zip(*methods, strict=True)])

    def accept(self, outputs: Matrix) -> bool:
        """Whether all rows, shape (rows, outputs), surely make valid answers. False for a NaN."""
        if outputs.size <= _SMALL:
            return self._accept_numbers(outputs.ravel().tolist())
        if self._only is None:
            return bool(((outputs >= self._low) & (outputs <= self._high)).all())
        low, high = self._only
        return bool(low <= outputs.min() and outputs.max() <= high)

    def _accept_numbers(self, numbers: Sequence[float]) -> bool:
        if self._only is None:
            for number, (low, high) in zip(numbers, self._ranges * (len(numbers) // len(self._ranges)), strict=True):
                if not low <= number <= high:
                    return False
            return True
        low, high = self._only
        for number in numbers:  # noqa: SIM110  # all() takes twice as long
            if not low <= number <= high:
                return False
        return True
