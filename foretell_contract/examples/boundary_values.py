"""Single values at the edges of what a field's rules accept, on both sides of each edge.

They are guesses at where an enforcer may be wrong, and no judgement: protovalidate alone says which of them are accepted.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell_contract.fields import Kind, enum_of, kind_of, value_field
from foretell_contract.rules.accepted_values import LINES, accepted
from foretell_contract.rules.intervals import COUNTS, Intervals, Line, Number
from foretell_contract.rules.rules import FieldRules

_TYPES = {getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name for name in LINES if name not in ("duration", "timestamp")}

_CALENDAR = {
    Kind.TIME: (-62_135_596_800 * 10**9, 253_402_300_800 * 10**9 - 1),
    Kind.DURATION: (-315_576_000_000 * 10**9, 315_576_000_000 * 10**9),
}
"""Nanoseconds from and to, beyond which there is no such message."""

_FOREIGN = "foretell"
"""A text that no contract is about."""

_MOST_PARTS = 3
_MOST_LISTED = 8
_LONGEST = 10_000
"""Characters beyond which a text at the limit is not tried: it would be refused for its size."""


@dataclass(frozen=True, slots=True)
class BoundaryValue:
    """A value and where it lies."""

    name: str
    """Such as `above-max`."""
    value: Any
    """As a message's constructor takes it; of a wrapper the value inside."""
    why: str


def boundary_values(field: FieldDescriptor, told: FieldRules) -> list[BoundaryValue]:
    """Of a value of the field, or of the values of its list or map, whose rules are `told`; no value occurs twice."""
    values = {} if told.ignored else {name: _plain(value) for name, value in told.values.items()}
    found: dict[Any, BoundaryValue] = {}
    for edge in _edges(field, told, values):
        found.setdefault(repr(edge.value), edge)
    return list(found.values())


def _edges(field: FieldDescriptor, told: FieldRules, values: Mapping[str, Any]) -> Iterator[BoundaryValue]:
    kind, inner = kind_of(field), value_field(field)
    if kind is Kind.BOOL:
        yield BoundaryValue("false", False, "one of two values")
        yield BoundaryValue("true", True, "one of two values")
    elif kind is Kind.ENUM:
        named = list(enum_of(inner).values)
        yield from (BoundaryValue(value.name, value.number, "a value of the enum") for value in named[:_MOST_LISTED])
        yield BoundaryValue("undefined", max(value.number for value in named) + 1, "a number without a name")
    elif kind in (Kind.NUMBER, Kind.INTEGER):
        word = _TYPES[inner.type]
        yield from _numbers(LINES[word], _numeric(word, told, values, inner))
        yield BoundaryValue("zero", 0, "what an absent number looks like")
        if kind is Kind.NUMBER:
            yield BoundaryValue("nan", math.nan, "not a number")
            yield BoundaryValue("inf", math.inf, "no finite number")
            yield BoundaryValue("minus-inf", -math.inf, "no finite number")
    elif kind in (Kind.TIME, Kind.DURATION):
        yield from _times(kind, told, values, inner)
    elif kind in (Kind.TEXT, Kind.BYTES):
        yield from _texts(values, told, inner)


def _numeric(word: str, told: FieldRules, values: Mapping[str, Any], field: FieldDescriptor) -> Intervals:
    found = accepted(word, values if told.kind == word else {}, field).numbers
    return found if found is not None else Intervals.everything(LINES[word])


def _numbers(line: Line, found: Intervals) -> Iterator[BoundaryValue]:
    parts = list(enumerate(found.parts, 1))
    if len(parts) > 2 * _MOST_PARTS:
        parts = parts[:_MOST_PARTS] + parts[-_MOST_PARTS:]
    for place, (low, high) in parts:
        tail = f"-{place}" if len(found.parts) > 1 else ""
        yield BoundaryValue(f"min{tail}", low, "the least that the bounds allow")
        yield BoundaryValue(f"max{tail}", high, "the most that the bounds allow")
        with np.errstate(over="ignore"):
            if low > line.low:
                yield BoundaryValue(f"below-min{tail}", line.step(low, -math.inf), "the next number below the least")
            if high < line.high:
                yield BoundaryValue(f"above-max{tail}", line.step(high, math.inf), "the next number above the most")


def _times(kind: Kind, told: FieldRules, values: Mapping[str, Any], field: FieldDescriptor) -> Iterator[BoundaryValue]:
    word = "timestamp" if kind is Kind.TIME else "duration"
    low, high = _CALENDAR[kind]
    for edge in _numbers(LINES[word], _numeric(word, told, values, field) & Intervals.of(LINES[word], [(low, high)])):
        if low <= edge.value <= high:
            yield BoundaryValue(edge.name, _time(kind, edge.value), edge.why)
    yield BoundaryValue("zero", {"seconds": 0, "nanos": 0}, "the epoch" if kind is Kind.TIME else "no time at all")


def _time(kind: Kind, nanoseconds: Number) -> dict[str, int]:
    """The parts of a length of time have one sign; those of a point in time only count upwards."""
    if kind is Kind.DURATION and nanoseconds < 0:
        seconds, nanos = divmod(-nanoseconds, 10**9)
        return {"seconds": -seconds, "nanos": -nanos}
    seconds, nanos = divmod(nanoseconds, 10**9)
    return {"seconds": seconds, "nanos": nanos}


def _texts(values: Mapping[str, Any], told: FieldRules, field: FieldDescriptor) -> Iterator[BoundaryValue]:
    octets = field.type == FieldDescriptor.TYPE_BYTES
    empty: Any = b"" if octets else ""
    foreign: Any = _FOREIGN.encode() if octets else _FOREIGN
    known = accepted("bytes" if octets else "string", values if told.kind in ("string", "bytes") else {}, field)
    listed = list(values.get("in", ()))[:_MOST_LISTED] + ([values["const"]] if "const" in values else [])
    yield from (
        BoundaryValue(f"listed-{place}", value, "one of those that the rule lists") for place, value in enumerate(listed, 1)
    )
    stem = (told.examples or tuple(listed) or (foreign,))[0]
    for counts in known.counts.values():
        for edge in _numbers(COUNTS, counts):
            if 0 <= edge.value <= _LONGEST:
                yield BoundaryValue(_LENGTHS[edge.name], _resized(stem, int(edge.value)), "a length at the edge of the rule")
    for name in ("prefix", "suffix", "contains"):
        if name in values:
            yield BoundaryValue(f"bare-{name}", values[name], f"no more than what the rule on its {name} asks")
    yield BoundaryValue("empty", empty, "what an absent text looks like")
    yield BoundaryValue("foreign", foreign, "a text that no model knows")


_LENGTHS = {"min": "shortest", "max": "longest", "below-min": "too-short", "above-max": "too-long"}


def _resized(text: Any, length: int) -> Any:
    """The text cut to a length, or drawn out by its last letter."""
    return (text + (text[-1:] or (b"a" if isinstance(text, bytes) else "a")) * length)[:length]


def _plain(value: Any) -> Any:
    """A rule's value as the arithmetic takes it: times are nanoseconds."""
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    if isinstance(value, Message) and {"seconds", "nanos"} <= {field.name for field in value.DESCRIPTOR.fields}:
        timed: Any = value
        return timed.seconds * 10**9 + timed.nanos
    return value
