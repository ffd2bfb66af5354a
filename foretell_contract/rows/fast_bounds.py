"""Bounds of numeric rows, tried at the speed of arrays.

They only tell what is clearly fine. What is not goes to protovalidate, which alone judges and words a refusal.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet
from numpy.typing import NDArray

from foretell_contract.rows.row_layout import Matrix, RowLayout
from foretell_contract.rules.rules import Rules

_LARGEST = sys.float_info.max
_NO_RULE = "example"


class FastBounds:
    """The closed ranges of a row's values, in the order of the fields' numbers. Immutable; safe to use from any thread."""

    def __init__(self, ranges: Iterable[tuple[float, float]]) -> None:
        self._ranges = tuple(ranges)
        self._low, self._high = np.array(self._ranges, np.float64).T

    @classmethod
    def of(cls, message: Descriptor, rules: Rules) -> Self | None:
        """The bounds of a message that has a Layout; None where a rule says more than where a value begins and ends."""
        layout = RowLayout.of(message)
        told = [rules.declared("message", message), *(rules.declared("oneof", oneof) for oneof in message.oneofs)]
        if layout is None or any(told):
            return None
        ranges = [_range(message.fields_by_name[name], rules) for name in layout.names]
        return cls(filter(None, ranges)) if all(ranges) else None

    def accepts(self, matrix: Matrix) -> bool:
        """Whether every row is clearly fine, all its values being present. False tells nothing: no number is, for one."""
        return bool(((matrix >= self._low) & (matrix <= self._high)).all())

    def accepted(self, matrix: Matrix) -> NDArray[np.bool_]:
        """Row by row, shape (rows,)."""
        fine: NDArray[np.bool_] = ((matrix >= self._low) & (matrix <= self._high)).all(axis=1)
        return fine

    def accepts_row(self, row: Sequence[float]) -> bool:
        """Whether this one is."""
        for value, (low, high) in zip(row, self._ranges, strict=True):  # noqa: SIM110  # all() takes twice as long
            if not low <= value <= high:
                return False
        return True


def row_counts(batch: Descriptor, rules: Rules) -> range | None:
    """How many rows a message that does nothing but repeat them may have; None where a rule says more than that.

    Each row has rules of its own besides.
    """
    options = rules.declared("field", batch.fields[0])
    stated = _only(options, "repeated", {"min_items", "max_items"})
    if rules.declared("message", batch) or stated is None:
        return None
    fewest = int(options is not None and options.required)
    return range(max(stated.get("min_items", 0), fewest), stated.get("max_items", sys.maxsize) + 1)


def _range(field: FieldDescriptor, rules: Rules) -> tuple[float, float] | None:
    kind = "double" if field.type == FieldDescriptor.TYPE_DOUBLE else "float"
    options = rules.declared("field", field)
    stated = _only(options, kind, {"gt", "gte", "lt", "lte", "finite"})
    if stated is None or (options is not None and options.required and not field.has_presence):
        return None  # To be required and never absent is a rule about zero.
    edge = _LARGEST if stated.pop("finite", False) else math.inf
    if not all(map(math.isfinite, stated.values())):
        return None
    low, high = stated.get("gte", -edge), stated.get("lte", edge)
    if "gt" in stated:
        low = math.nextafter(stated["gt"], math.inf)
    if "lt" in stated:
        high = math.nextafter(stated["lt"], -math.inf)
    return (low, high) if low < high else None  # Crossed bounds mean what is outside of them.


def _only(options: Any, kind: str, known: set[str]) -> dict[str, Any] | None:
    """The rules of a field by name; None where one is not known here, be it of another kind or somebody's own."""
    if options is None:
        return {}
    group = getattr(options, kind)
    found = {field.name: value for field, value in group.ListFields() if field.name != _NO_RULE}
    outside = {field.name for field, _ in options.ListFields()} - {"required", kind}
    foreign = any(field.is_extension for field, _ in group.ListFields())
    if outside or foreign or found.keys() - known or len(UnknownFieldSet(options)) or len(UnknownFieldSet(group)):
        return None
    return found
