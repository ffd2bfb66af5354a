"""Builds requests that do not parse as the message: what JSON and the wire format allow beyond the contract."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell.testing.case import BrokenRule, broken_rule
from foretell_contract.fields import Kind, is_in_oneof, is_map, is_nested, kind_of, map_entry
from foretell_contract.rows.wire import VARINT, tag, varint
from rest_bridge.json.codec import request_example

_WRONG_TYPES: dict[Kind, tuple[Any, str]] = {
    Kind.NUMBER: ("1", "float_type"),
    Kind.INTEGER: (1.5, "int_type"),
    Kind.BOOL: (1, "bool_type"),
    Kind.TEXT: (7, "string_type"),
    Kind.ENUM: ("NO_SUCH_VALUE", "enum_value"),
    Kind.BYTES: ("no base64!", "bytes_base64"),
    Kind.TIME: ("yesterday", "timestamp_format"),
    Kind.DURATION: ("an hour", "duration_format"),
}
"""A value of another type for each kind of field, and the rule that the refusal names."""

_UNKNOWN = "foretell_test"
_UNKNOWN_WHY = "a field that the contract does not have"
_UNKNOWN_NUMBER = 123_456_789
"""Name and number of a field that no contract has."""


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """A body over REST and the rule that it breaks."""

    path: str
    name: str
    why: str
    body: bytes
    broken: BrokenRule
    may_break_more: bool = True
    """Whether the server may report further rules, because the malformed field counts as missing."""


def malformed_requests(row: Message) -> Iterator[MalformedRequest]:
    """Variations of the body of `row`, which is valid: wrong types, unknown and duplicate names, NaN, and text that is not JSON."""
    document = request_example(row)
    truncated = json.dumps(document)[:-1].encode()
    yield MalformedRequest("", "no-body", "the body is empty", b"", broken_rule("", "json_invalid"), may_break_more=False)
    yield MalformedRequest("", "cut-off", "the body is truncated", truncated, broken_rule("", "json_invalid"), may_break_more=False)
    yield MalformedRequest(
        "", "wrong-type", "a list instead of an object", b"[]", broken_rule("", "object_type"), may_break_more=False
    )
    unknown = json.dumps(document | {_UNKNOWN: 1}).encode()
    yield MalformedRequest("", "unknown", _UNKNOWN_WHY, unknown, broken_rule((_UNKNOWN,), "unknown_field"))
    yield from _of_fields(row, document, ())


def with_unknown_field(message: bytes) -> bytes:
    """The serialized message with a field that the contract does not have."""
    return message + tag(_UNKNOWN_NUMBER, VARINT) + varint(1)


def _of_fields(message: Any, document: Any, parents: tuple[str, ...], root: Any = None) -> Iterator[MalformedRequest]:
    """One or more for each field of `message`, which is `document` in JSON; `root` is the whole body."""
    root = document if root is None else root
    for field in message.DESCRIPTOR.fields:
        if field.name not in document and is_in_oneof(field):
            continue  # A value here would be a second member of the oneof.
        steps = (*parents, field.name)
        if field.name in document and len(document) and not parents:
            yield _duplicate(document, field.name)
        value, rule = _wrong(field)
        yield _with_value(root, steps, "wrong-type", "a value of another type", value, rule)
        if kind_of(field) is Kind.NUMBER and not field.is_repeated:
            yield _with_value(root, steps, "nan-in-json", "NaN, which JSON does not have", math.nan, "json_invalid")
        if field.is_repeated and document.get(field.name):
            yield from _of_items(field, root, steps, document[field.name])
        elif is_nested(field) and field.name in document:
            body = _body(root, steps, document[field.name] | {_UNKNOWN: 1})
            broken = broken_rule((*steps, _UNKNOWN), "unknown_field")
            yield MalformedRequest(".".join(steps), "unknown", _UNKNOWN_WHY, body, broken)
            yield from _of_fields(getattr(message, field.name), document[field.name], steps, root)


def _of_items(field: FieldDescriptor, root: Any, steps: tuple[str, ...], items: Any) -> Iterator[MalformedRequest]:
    """The first item of a list or map is null, or of another type."""
    first: Any = next(iter(items)) if is_map(field) else 0
    value, rule = _wrong(map_entry(field)[1] if is_map(field) else field, item=True)
    for name, why, wrong, broken in (
        ("null", "null instead of a value", None, "null_item"),
        ("wrong-type", "another type", value, rule),
    ):
        changed = items | {first: wrong} if is_map(field) else [wrong, *items[1:]]
        path = f"{'.'.join(steps)}[{first}]"
        yield MalformedRequest(path, name, why, _body(root, steps, changed), broken_rule((*steps, first), broken))


def _wrong(field: FieldDescriptor, *, item: bool = False) -> tuple[Any, str]:
    if field.is_repeated and not item:
        return (1, "object_type") if is_map(field) else (1, "list_type")
    kind = kind_of(field)
    return _WRONG_TYPES[kind] if kind is not None else (1, "object_type")


def _with_value(root: Any, steps: tuple[str, ...], name: str, why: str, value: Any, rule: str) -> MalformedRequest:
    """The body with `value` at `steps`."""
    is_json = rule != "json_invalid"
    broken = broken_rule(steps if is_json else (), rule)
    return MalformedRequest(".".join(steps), name, why, _body(root, steps, value), broken, may_break_more=is_json)


def _duplicate(document: Any, name: str) -> MalformedRequest:
    again = json.dumps({name: document[name]})[1:]
    body = f"{json.dumps(document)[:-1]}, {again}".encode()
    return MalformedRequest(name, "twice", "a name occurs twice", body, broken_rule((name,), "repeated_field"))


def _body(root: Any, steps: tuple[str, ...], value: Any) -> bytes:
    return json.dumps(_with(root, steps, value)).encode()


def _with(document: Any, steps: tuple[str, ...], value: Any) -> Any:
    if not steps:
        return value
    return document | {steps[0]: _with(document.get(steps[0], {}), steps[1:], value)}
