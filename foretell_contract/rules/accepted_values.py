"""The set of values that the standard rules of `buf.validate` accept, and whether one set lies within another.

Numbers, times, bools and enums are exact. For strings, bytes, lists and maps each rule is compared with the rule of the same name.
Other rules, such as patterns, are opaque: one is within another only if both are equal.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell_contract.problem import one_line
from foretell_contract.rules.intervals import COUNTS, LINES, Intervals, Line

_LARGEST = {"double": sys.float_info.max, "float": float(np.finfo(np.float32).max)}

_COUNTED = {
    "length": ("len", "min_len", "max_len"),
    "bytes": ("len_bytes", "min_bytes", "max_bytes"),
    "items": ("", "min_items", "max_items"),
    "pairs": ("", "min_pairs", "max_pairs"),
}
"""Rules on a count: exactly, at least, at most; an empty name if there is no such rule."""

_SIZES: dict[str, Callable[[Any], int]] = {"length": len, "bytes": lambda text: len(text.encode()), "items": len, "pairs": len}

_PARTS: dict[str, tuple[Callable[[Any, Any], bool], Callable[[Any, Any], bool]]] = {
    # Whether a value keeps the rule; whether every value that keeps the old rule keeps the new one.
    "prefix": (lambda value, rule: value.startswith(rule), lambda old, new: old.startswith(new)),
    "suffix": (lambda value, rule: value.endswith(rule), lambda old, new: old.endswith(new)),
    "contains": (lambda value, rule: rule in value, lambda old, new: new in old),
    "not_contains": (lambda value, rule: rule not in value, lambda old, new: old in new),
}

_NEVER_NAN = {"const", "in", "lt", "lte", "gt", "gte", "finite"}
_RANGE = {"lt", "lte", "gt", "gte"}
_TEXTS = ("string", "bytes")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A set of values: those that all attributes accept. Immutable."""

    numbers: Intervals | None = None
    """Accepted numbers; None for values that are not numbers."""
    nan: bool = True
    counts: Mapping[str, Intervals] = field(default_factory=dict)
    """Accepted lengths or numbers of items, by the keys of _COUNTED."""
    parts: Mapping[str, Any] = field(default_factory=dict)
    """Rules on substrings, by the keys of _PARTS."""
    listed: frozenset[Any] | None = None
    """The only accepted values; None if the rules list none."""
    excluded: frozenset[Any] = frozenset()
    opaque: Mapping[str, Any] = field(default_factory=dict)
    """Rules that may refuse any value."""

    def __le__(self, other: "Accepted") -> bool:
        """Whether `other` surely accepts every value of this set. False may mean that it is unknown."""
        if self.listed is not None and all(self.takes(value) is False or other.takes(value) for value in self.listed):
            return True
        return (
            (self.numbers is None or other.numbers is None or self.numbers <= other.numbers)
            and (other.nan or not self.nan)
            and (other.listed is None or (self.listed is not None and self.listed <= other.listed))
            and all(value in self.excluded or self.takes(value) is False for value in other.excluded)
            and all(self._counted(what) <= counts for what, counts in other.counts.items())
            and all(name in self.parts and _PARTS[name][1](self.parts[name], rule) for name, rule in other.parts.items())
            and all(self.opaque.get(name) == rule for name, rule in other.opaque.items())
        )

    def takes(self, value: Any) -> bool | None:
        """Whether a number, string or list is accepted; None if it is unknown."""
        known = (
            (self.numbers is None or value in self.numbers)
            and (self.listed is None or value in self.listed)
            and value not in self.excluded
            and all(_SIZES[what](value) in counts for what, counts in self.counts.items())
            and all(_PARTS[name][0](value, rule) for name, rule in self.parts.items())
        )
        return None if known and self.opaque else known

    def _counted(self, what: str) -> Intervals:
        return self.counts.get(what, Intervals.everything(COUNTS))


class Nanoseconds(int):
    """A point in time or a duration in a rule."""

    def __str__(self) -> str:
        seconds, nanos = divmod(self, 10**9)
        return f"{seconds}.{nanos:09}".rstrip("0").rstrip(".") + "s"


def plain_value(value: Any) -> Any:
    """A rule's value without messages: times as Nanoseconds, other messages as text. Messages of two pools are never equal."""
    if isinstance(value, tuple):
        return tuple(map(plain_value, value))
    if not isinstance(value, Message):
        return value
    timed: Any = value
    is_time = value.DESCRIPTOR.full_name in ("google.protobuf.Duration", "google.protobuf.Timestamp")
    return Nanoseconds(timed.seconds * 10**9 + timed.nanos) if is_time else one_line(value)


def plain_values(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Rules by name, without messages in their values."""
    return {name: plain_value(value) for name, value in rules.items()}


def accepted(kind: str, rules: Mapping[str, Any], field: FieldDescriptor) -> Accepted:
    """The values of a field that rules of one kind, such as "double", accept."""
    if kind in LINES:
        return _numbers(kind, rules, field)
    return _others(kind, rules)


def _numbers(kind: str, rules: Mapping[str, Any], field: FieldDescriptor) -> Accepted:
    line = LINES[kind]
    bounds = {name: value for name, value in rules.items() if name in _RANGE}
    known = {"const", "in", "not_in", "finite", "defined_only", *bounds}
    opaque = {name: value for name, value in rules.items() if name not in known}
    if any(bound != bound for bound in bounds.values()):
        opaque |= bounds
        bounds = {}
    found = _between(line, bounds)
    if rules.get("finite"):
        found &= Intervals.of(line, [(-_LARGEST[kind], _LARGEST[kind])])
    if rules.get("defined_only") and field.enum_type is not None:
        found &= Intervals.points(line, [value.number for value in field.enum_type.values])
    for listed in _lists(rules):
        found &= Intervals.points(line, _real(listed))
    found = found.without(_real(rules.get("not_in", ())))
    return Accepted(found, kind in _LARGEST and not rules.keys() & _NEVER_NAN, opaque=opaque)


def _between(line: Line, bounds: Mapping[str, Any]) -> Intervals:
    """Numbers within the bounds; if the lower bound is above the upper, numbers outside of them, as protovalidate has it."""
    low, high = bounds.get("gte", bounds.get("gt", -math.inf)), bounds.get("lte", bounds.get("lt", math.inf))
    parts = [(low, high)] if low <= high else [(-math.inf, high), (low, math.inf)]
    return Intervals.of(line, parts).without(bounds[name] for name in ("gt", "lt") if name in bounds)


def _real(values: Any) -> list[Any]:
    """The values without NaN: no value equals it, so a list with NaN neither accepts nor refuses anything by it."""
    return [number for number in values if number == number]


def _others(kind: str, rules: Mapping[str, Any]) -> Accepted:
    """Other kinds than texts, lists and maps are opaque: `in` of an Any, for one, lists type URLs and not values."""
    if kind not in (*_TEXTS, "repeated", "map"):
        return Accepted(opaque=rules)
    counts = {what: found for what, names in _COUNTED.items() if (found := _count(rules, *names))}
    parts = {name: rules[name] for name in _PARTS if name in rules}
    lists = [set(listed) for listed in _lists(rules)]
    known = {"const", "in", "not_in", *_PARTS, *(name for names in _COUNTED.values() for name in names)}
    return Accepted(
        counts=counts,
        parts=parts,
        listed=frozenset(set.intersection(*lists)) if lists else None,
        excluded=frozenset(rules.get("not_in", ())),
        opaque={name: value for name, value in rules.items() if name not in known},
    )


def _lists(rules: Mapping[str, Any]) -> list[Any]:
    """Lists of values, each of which must contain the value."""
    return [[rules[name]] if name == "const" else rules[name] for name in ("const", "in") if name in rules]


def _count(rules: Mapping[str, Any], exactly: str, least: str, most: str) -> Intervals | None:
    if not rules.keys() & {exactly, least, most}:
        return None
    ranges = Intervals.of(COUNTS, [(rules.get(least, 0), rules.get(most, math.inf))])
    return ranges & Intervals.points(COUNTS, [rules[exactly]]) if exactly in rules else ranges
