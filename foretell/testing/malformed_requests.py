"""Requests that are no message at all, or not this one: what JSON or the wire can say beyond the contract."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell.testing.case import Broken, broken
from foretell_contract.fields import Kind, is_in_oneof, is_map, is_nested, kind_of, map_entry
from foretell_contract.rows.wire import VARINT, tag, varint
from rest_bridge.json.codec import request_example

_WRONG: dict[Kind, tuple[Any, str]] = {
    Kind.NUMBER: ("1", "float_type"),
    Kind.INTEGER: (1.5, "int_type"),
    Kind.BOOL: (1, "bool_type"),
    Kind.TEXT: (7, "string_type"),
    Kind.ENUM: ("NO_SUCH_VALUE", "enum_value"),
    Kind.BYTES: ("no base64!", "bytes_base64"),
    Kind.TIME: ("yesterday", "timestamp_format"),
    Kind.DURATION: ("an hour", "duration_format"),
}
"""A value of another type for each kind of field, and what the refusal calls it."""

_UNKNOWN = "foretell_test"
_NOT_THERE = "a field that the contract does not have"
_UNKNOWN_NUMBER = 123_456_789
"""A field that no contract has, by name and by number."""


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """A body over REST and what is wrong with it."""

    place: str
    name: str
    why: str
    text: bytes
    broken: Broken
    more: bool = True
    """Whether the rules may be broken as well, by what is missing in consequence."""


def malformed_requests(row: Message) -> Iterator[MalformedRequest]:
    """Bodies from that of `row`, which is valid: wrong types, unknown and doubled names, NaN, and what is no JSON."""
    document = request_example(row)
    yield MalformedRequest("", "no-body", "nothing is sent", b"", broken("", "json_invalid"), more=False)
    yield MalformedRequest(
        "", "cut-off", "the body breaks off", json.dumps(document)[:-1].encode(), broken("", "json_invalid"), more=False
    )
    yield MalformedRequest("", "wrong-type", "a list instead of an object", b"[]", broken("", "object_type"), more=False)
    yield _bodied("", "unknown", _NOT_THERE, document | {_UNKNOWN: 1}, (_UNKNOWN,), "unknown_field")
    yield from _of(row, document, ())


def unknown_on_the_wire(message: bytes) -> bytes:
    """The message with a field that the contract does not have."""
    return message + tag(_UNKNOWN_NUMBER, VARINT) + varint(1)


def _of(part: Any, document: Any, above: tuple[str, ...], root: Any = None) -> Iterator[MalformedRequest]:
    """Of the fields of `part`, which is `document` in JSON; `root` is the whole body."""
    root = document if root is None else root
    for field in part.DESCRIPTOR.fields:
        if field.name not in document and is_in_oneof(field):
            continue  # It would be a second member of its oneof.
        steps = (*above, field.name)
        if field.name in document and len(document) and not above:
            yield _doubled(document, field.name)
        value, rule = _wrong(field)
        yield _placed(root, steps, "wrong-type", "a value of another type", value, rule)
        if kind_of(field) is Kind.NUMBER and not field.is_repeated:
            yield _placed(root, steps, "nan-in-json", "NaN, which is no JSON", math.nan, "json_invalid")
        if field.is_repeated and document.get(field.name):
            yield from _inside(field, root, steps, document[field.name])
        elif is_nested(field) and field.name in document:
            unknown = document[field.name] | {_UNKNOWN: 1}
            text = _body(root, steps, unknown)
            place = ".".join(steps)
            yield MalformedRequest(place, "unknown", _NOT_THERE, text, broken((*steps, _UNKNOWN), "unknown_field"))
            yield from _of(getattr(part, field.name), document[field.name], steps, root)


def _inside(field: FieldDescriptor, root: Any, steps: tuple[str, ...], held: Any) -> Iterator[MalformedRequest]:
    """An item of a list or map that is null, or of another type."""
    first: Any = next(iter(held)) if is_map(field) else 0
    value, rule = _wrong(map_entry(field)[1] if is_map(field) else field, item=True)
    for name, why, wrong, told in (
        ("null", "null instead of a value", None, "null_item"),
        ("wrong-type", "another type", value, rule),
    ):
        changed = held | {first: wrong} if is_map(field) else [wrong, *held[1:]]
        place = f"{'.'.join(steps)}[{first}]"
        yield MalformedRequest(place, name, why, _body(root, steps, changed), broken((*steps, first), told))


def _wrong(field: FieldDescriptor, *, item: bool = False) -> tuple[Any, str]:
    if field.is_repeated and not item:
        return (1, "object_type") if is_map(field) else (1, "list_type")
    kind = kind_of(field)
    return _WRONG[kind] if kind is not None else (1, "object_type")


def _placed(root: Any, steps: tuple[str, ...], name: str, why: str, value: Any, rule: str) -> MalformedRequest:
    place = () if rule == "json_invalid" else steps
    return MalformedRequest(".".join(steps), name, why, _body(root, steps, value), broken(place, rule), more=rule != "json_invalid")


def _bodied(place: str, name: str, why: str, document: Any, steps: tuple[str, ...], rule: str) -> MalformedRequest:
    return MalformedRequest(place, name, why, json.dumps(document).encode(), broken(steps, rule))


def _doubled(document: Any, name: str) -> MalformedRequest:
    again = json.dumps({name: document[name]})[1:]
    text = f"{json.dumps(document)[:-1]}, {again}".encode()
    return MalformedRequest(name, "twice", "a name occurs twice", text, broken((name,), "repeated_field"))


def _body(root: Any, steps: tuple[str, ...], value: Any) -> bytes:
    return json.dumps(_with(root, steps, value)).encode()


def _with(document: Any, steps: tuple[str, ...], value: Any) -> Any:
    if not steps:
        return value
    return document | {steps[0]: _with(document.get(steps[0], {}), steps[1:], value)}
