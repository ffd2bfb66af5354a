"""Values on both sides of the bounds of a field's rules, for tests of a server.

They are places where an implementation may be wrong. protovalidate decides which of them are valid.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from foretell_contract.fields import CALENDAR, TYPE_NAMES, Kind, enum_of, kind_of, value_field
from foretell_contract.rules.accepted_values import accepted, plain_values
from foretell_contract.rules.intervals import COUNTS, LINES, Intervals, Line, Number
from foretell_contract.rules.rules import FieldRules

FOREIGN_TEXT = "foretell"
"""A text that no contract lists and no model was trained with."""

_MOST_PARTS = 3
_MOST_LISTED = 8
_LONGEST = 10_000
"""Longest text to try: the server would refuse a longer one for its size."""


@dataclass(frozen=True, slots=True)
class BoundaryValue:
    """A value and its relation to the rules."""

    name: str
    """Such as `above-max`."""
    value: Any
    """As a message's constructor takes it; for a wrapper the inner value."""
    why: str


def boundary_values(field: FieldDescriptor, rules: FieldRules) -> list[BoundaryValue]:
    """Distinct boundary values of the field, or of one value of its list or map; `rules` are those of the single value."""
    values = {} if rules.ignored else plain_values(rules.values)
    found: dict[Any, BoundaryValue] = {}
    for boundary in _all(field, rules, values):
        found.setdefault(repr(boundary.value), boundary)
    return list(found.values())


def _all(field: FieldDescriptor, rules: FieldRules, values: Mapping[str, Any]) -> Iterator[BoundaryValue]:
    kind, inner = kind_of(field), value_field(field)
    if kind is Kind.BOOL:
        yield BoundaryValue("false", False, "one of two values")
        yield BoundaryValue("true", True, "one of two values")
    elif kind is Kind.ENUM:
        named = list(enum_of(inner).values)
        yield from (BoundaryValue(value.name, value.number, "a value of the enum") for value in named[:_MOST_LISTED])
        yield BoundaryValue("undefined", max(value.number for value in named) + 1, "a number that the enum does not define")
    elif kind in (Kind.NUMBER, Kind.INTEGER):
        kind_name = TYPE_NAMES[inner.type]
        yield from _numbers(LINES[kind_name], _accepted_numbers(kind_name, rules, values, inner))
        yield BoundaryValue("zero", 0, "the number that a missing value reads as")
        if kind is Kind.NUMBER:
            yield BoundaryValue("nan", math.nan, "not a number")
            yield BoundaryValue("inf", math.inf, "not finite")
            yield BoundaryValue("minus-inf", -math.inf, "not finite")
    elif kind in (Kind.TIME, Kind.DURATION):
        yield from _times(kind, rules, values, inner)
    elif kind in (Kind.TEXT, Kind.BYTES):
        yield from _texts(values, rules, inner)


def _accepted_numbers(kind_name: str, rules: FieldRules, values: Mapping[str, Any], field: FieldDescriptor) -> Intervals:
    found = accepted(kind_name, values if rules.kind == kind_name else {}, field).numbers
    return found if found is not None else Intervals.everything(LINES[kind_name])


def _numbers(line: Line, found: Intervals) -> Iterator[BoundaryValue]:
    parts = list(enumerate(found.parts, 1))
    if len(parts) > 2 * _MOST_PARTS:
        parts = parts[:_MOST_PARTS] + parts[-_MOST_PARTS:]
    for place, (low, high) in parts:
        tail = f"-{place}" if len(found.parts) > 1 else ""
        yield BoundaryValue(f"min{tail}", low, "the smallest number that the bounds allow")
        yield BoundaryValue(f"max{tail}", high, "the largest number that the bounds allow")
        with np.errstate(over="ignore"):
            if low > line.low:
                yield BoundaryValue(f"below-min{tail}", line.step(low, -math.inf), "the next number below the minimum")
            if high < line.high:
                yield BoundaryValue(f"above-max{tail}", line.step(high, math.inf), "the next number above the maximum")


def _times(kind: Kind, rules: FieldRules, values: Mapping[str, Any], field: FieldDescriptor) -> Iterator[BoundaryValue]:
    kind_name = "timestamp" if kind is Kind.TIME else "duration"
    line, (low, high) = LINES[kind_name], CALENDAR[kind]
    for boundary in _numbers(line, _accepted_numbers(kind_name, rules, values, field) & Intervals.of(line, [(low, high)])):
        if low <= boundary.value <= high:
            yield BoundaryValue(boundary.name, _time(kind, boundary.value), boundary.why)
    yield BoundaryValue("zero", {"seconds": 0, "nanos": 0}, "the epoch" if kind is Kind.TIME else "a duration of nothing")


def _time(kind: Kind, nanoseconds: Number) -> dict[str, int]:
    """Seconds and nanos: of one sign in a Duration; in a Timestamp the nanos are never negative."""
    if kind is Kind.DURATION and nanoseconds < 0:
        seconds, nanos = divmod(-nanoseconds, 10**9)
        return {"seconds": -seconds, "nanos": -nanos}
    seconds, nanos = divmod(nanoseconds, 10**9)
    return {"seconds": seconds, "nanos": nanos}


def _texts(values: Mapping[str, Any], rules: FieldRules, field: FieldDescriptor) -> Iterator[BoundaryValue]:
    octets = field.type == FieldDescriptor.TYPE_BYTES
    empty: Any = b"" if octets else ""
    foreign: Any = FOREIGN_TEXT.encode() if octets else FOREIGN_TEXT
    known = accepted("bytes" if octets else "string", values if rules.kind in ("string", "bytes") else {}, field)
    listed = list(values.get("in", ()))[:_MOST_LISTED] + ([values["const"]] if "const" in values else [])
    yield from (
        BoundaryValue(f"listed-{place}", value, "one of those that the rule lists") for place, value in enumerate(listed, 1)
    )
    stem = (rules.examples or tuple(listed) or (foreign,))[0]
    for counts in known.counts.values():
        for length in _numbers(COUNTS, counts):
            if 0 <= length.value <= _LONGEST:
                yield BoundaryValue(_LENGTHS[length.name], _resized(stem, int(length.value)), "a length next to a bound")
    for name in ("prefix", "suffix", "contains"):
        if name in values:
            yield BoundaryValue(f"bare-{name}", values[name], f"nothing but the {name} that the rule demands")
    yield BoundaryValue("empty", empty, "the text that a missing value reads as")
    yield BoundaryValue("foreign", foreign, "a text that no model was trained with")


_LENGTHS = {"min": "shortest", "max": "longest", "below-min": "too-short", "above-max": "too-long"}


def _resized(text: Any, length: int) -> Any:
    return (text + (text[-1:] or (b"a" if isinstance(text, bytes) else "a")) * length)[:length]
