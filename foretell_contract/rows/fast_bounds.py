"""Checks rows of numbers against plain bounds with numpy, many times as fast as protovalidate.

It only accepts. A row that it does not accept goes to protovalidate, which alone refuses rows and words the violations.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet

from foretell_contract.rows.row_layout import Matrix, RowLayout
from foretell_contract.rules.rules import Rules

Range: TypeAlias = tuple[float, float]
"""The least and the greatest value; infinite where a bound is open."""

_LARGEST = sys.float_info.max

_SMALL = 32
"""Up to this many numbers, pure Python is faster: numpy takes microseconds a call, as long as a small model for one row."""


class FastBounds:
    """The closed range of each field, in the order of the field numbers. Immutable; safe to use from any thread."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._ranges = tuple(ranges)
        self._low, self._high = np.array(self._ranges, np.float64).reshape(-1, 2).T
        self._only = self._ranges[0] if len(set(self._ranges)) == 1 else None

    @classmethod
    def of(cls, message: Descriptor, rules: Rules) -> Self | None:
        """The bounds of a message; None if it has no RowLayout, or a rule that is not a plain bound."""
        layout = RowLayout.of(message)
        others = [rules.declared("message", message), *(rules.declared("oneof", oneof) for oneof in message.oneofs)]
        if layout is None or any(others):
            return None
        fields = [message.fields_by_name[name] for name in layout.names]
        ranges = [plain_range(rules.declared("field", field), field) for field in fields]
        return cls(filter(None, ranges)) if all(ranges) else None

    def accepts(self, matrix: Matrix) -> bool:
        """Whether all rows are surely valid, if all values are present. False for a NaN, and if a row needs protovalidate."""
        if matrix.size <= _SMALL and (self._only is not None or len(matrix) == 1):
            return self.accepts_row(matrix.ravel().tolist())
        if self._only is not None:  # A sixth of the time of broadcasting.
            return bool(self._only[0] <= matrix.min() and matrix.max() <= self._only[1])
        return bool(((matrix >= self._low) & (matrix <= self._high)).all())

    def accepts_row(self, row: Sequence[float]) -> bool:
        """Whether one row is surely valid, as `accepts`."""
        if self._only is None:
            for value, (low, high) in zip(row, self._ranges, strict=True):  # noqa: SIM110  # all() takes twice as long
                if not low <= value <= high:
                    return False
            return True
        low, high = self._only
        for value in row:  # noqa: SIM110  # likewise
            if not low <= value <= high:
                return False
        return True


def row_counts(batch: Descriptor, rules: Rules) -> range | None:
    """The accepted numbers of rows in a batch message; None if it has another rule than on their number.

    The rules on each row are not looked at.
    """
    options = rules.declared("field", batch.fields[0])
    limits = plain_rules(options, "repeated", {"min_items", "max_items"})
    if rules.declared("message", batch) or limits is None:
        return None
    fewest = int(options is not None and options.required)
    return range(max(limits.get("min_items", 0), fewest), limits.get("max_items", sys.maxsize) + 1)


def plain_range(options: Any, field: FieldDescriptor) -> Range | None:
    """The range of a double or float field with these rules, of each item of a repeated one; None for a rule of another kind."""
    kind = "double" if field.type == FieldDescriptor.TYPE_DOUBLE else "float"
    bounds = plain_rules(options, kind, {"gt", "gte", "lt", "lte", "finite"})
    if bounds is None or (options is not None and options.required and not field.has_presence):
        return None  # `required` without presence refuses zero.
    largest = _LARGEST if bounds.pop("finite", False) else math.inf
    if not all(map(math.isfinite, bounds.values())):
        return None
    low, high = bounds.get("gte", -largest), bounds.get("lte", largest)
    if "gt" in bounds:
        low = math.nextafter(bounds["gt"], math.inf)
    if "lt" in bounds:
        high = math.nextafter(bounds["lt"], -math.inf)
    return (low, high) if low < high else None  # A lower bound above the upper one accepts values outside of both.


def plain_rules(options: Any, kind: str, known: set[str]) -> dict[str, Any] | None:
    """The rules of a field by name; None if any is not in `known`, including rules of another kind and predefined rules."""
    if options is None:
        return {}
    group = getattr(options, kind)
    found = {field.name: value for field, value in group.ListFields() if field.name != "example"}
    outside = {field.name for field, _ in options.ListFields()} - {"required", kind}
    foreign = any(field.is_extension for field, _ in group.ListFields())
    if outside or foreign or found.keys() - known or len(UnknownFieldSet(options)) or len(UnknownFieldSet(group)):
        return None
    return found
