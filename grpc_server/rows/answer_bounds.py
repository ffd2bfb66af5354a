"""The ranges of outputs within which every response keeps the rules of the contract, for a quick check of all answers of a run.

Outputs outside become a response that protovalidate checks, which alone words a violation.
"""

import sys
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from foretell_contract.fields import is_map, map_entry
from foretell_contract.rows.fast_bounds import FastBounds, Range, plain_range, plain_rules
from foretell_contract.rules.rules import Rules

FINITE: Range = (-sys.float_info.max, sys.float_info.max)
NOTHING: Range = (1.0, 0.0)
"""Accepts no number: the rules are none that a range expresses."""

_FINITE_FLOAT: Range = (float(np.finfo(np.float32).min), float(np.finfo(np.float32).max))


def intersection(one: Range, other: Range) -> Range:
    """The numbers that are in both ranges."""
    return max(one[0], other[0]), min(one[1], other[1])


def answer_bounds(methods: Iterable[Sequence[Range]]) -> FastBounds:
    """The bounds of a model whose outputs have these ranges in each of several methods."""
    return FastBounds([reduce(intersection, ranges) for ranges in zip(*methods, strict=True)])


def number_range(field: FieldDescriptor, rules: Rules) -> Range:
    """The finite numbers that a field of doubles or floats may hold: the only one, or each of its items."""
    options: Any = rules.declared("field", field)
    if field.is_repeated:
        kind, each = ("map", "values") if is_map(field) else ("repeated", "items")
        found = plain_rules(options, kind, {each, "min_items", "max_items", "min_pairs", "max_pairs"})
        if found is None:
            return NOTHING
        options, field = found.get(each), map_entry(field)[1] if is_map(field) else field
    accepted = plain_range(options, field)
    if accepted is None or field.type == FieldDescriptor.TYPE_DOUBLE:
        return NOTHING if accepted is None else intersection(accepted, FINITE)
    low, high = intersection(accepted, _FINITE_FLOAT)
    is_exact = np.float32(low) == np.float64(low) and np.float32(high) == np.float64(high)
    return (low, high) if is_exact else NOTHING  # A double within `gt` or `lt` may be rounded to the bound itself.
