"""Builds requests that do not parse as the message: what JSON and the wire format allow beyond the contract."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell.testing.case import Case, broken_rule
from foretell_contract.fields import Kind, is_in_oneof, is_map, is_nested, kind_of, map_entry
from foretell_contract.rows.wire import VARINT, tag, varint
from foretell_contract.service import Method
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


def with_unknown_field(message: bytes) -> bytes:
    """The serialized message with a field that the contract does not have."""
    return message + tag(_UNKNOWN_NUMBER, VARINT) + varint(1)


def malformed_requests(method: Method, row: Message) -> Iterator[Case]:
    """Variations of the body of `row`, which is valid: wrong types, unknown and duplicate names, NaN, and text that is not JSON."""
    document = request_example(row)
    cases = _MalformedCases(method, document)
    truncated = json.dumps(document)[:-1].encode()
    yield cases.case((), "no-body", "the body is empty", b"", (), "json_invalid")
    yield cases.case((), "cut-off", "the body is truncated", truncated, (), "json_invalid")
    yield cases.case((), "wrong-type", "a list instead of an object", b"[]", (), "object_type")
    unknown = json.dumps(document | {_UNKNOWN: 1}).encode()
    yield cases.case((), "unknown", _UNKNOWN_WHY, unknown, (_UNKNOWN,), "unknown_field")
    yield from cases.of_fields(row, document, ())


@dataclass(frozen=True, slots=True)
class _MalformedCases:
    method: Method
    root: Any
    """The whole body."""

    def case(self, steps: tuple[str, ...], name: str, why: str, body: bytes, broken: tuple[str, ...], rule: str) -> Case:
        """A case of the field at `steps`, which breaks `rule` at `broken`; a malformed field counts as missing too."""
        breaks = frozenset([broken_rule(broken, rule)])
        return Case(self.method, ".".join(steps), name, why, body=body, breaks=breaks, may_break_more=bool(broken))

    def of_fields(self, message: Any, document: Any, parents: tuple[str, ...]) -> Iterator[Case]:
        """One or more for each field of `message`, which is `document` in JSON."""
        for field in message.DESCRIPTOR.fields:
            if field.name not in document and is_in_oneof(field):
                continue  # A value here would be a second member of the oneof.
            steps = (*parents, field.name)
            if field.name in document and not parents:
                again = json.dumps({field.name: document[field.name]})[1:]
                body = f"{json.dumps(document)[:-1]}, {again}".encode()
                yield self.case(steps, "twice", "a name occurs twice", body, steps, "repeated_field")
            value, rule = _wrong(field)
            yield self.case(steps, "wrong-type", "a value of another type", self._body(steps, value), steps, rule)
            if kind_of(field) is Kind.NUMBER and not field.is_repeated:
                yield self.case(
                    steps, "nan-in-json", "NaN, which JSON does not have", self._body(steps, math.nan), (), "json_invalid"
                )
            if field.is_repeated and document.get(field.name):
                yield from self._of_items(field, steps, document[field.name])
            elif is_nested(field) and field.name in document:
                body = self._body(steps, document[field.name] | {_UNKNOWN: 1})
                yield self.case(steps, "unknown", _UNKNOWN_WHY, body, (*steps, _UNKNOWN), "unknown_field")
                yield from self.of_fields(getattr(message, field.name), document[field.name], steps)

    def _of_items(self, field: FieldDescriptor, steps: tuple[str, ...], items: Any) -> Iterator[Case]:
        """The first item of a list or map is null, or of another type."""
        first: Any = next(iter(items)) if is_map(field) else 0
        value, rule = _wrong(map_entry(field)[1] if is_map(field) else field, item=True)
        at = (*steps[:-1], f"{steps[-1]}[{first}]")
        for name, why, wrong, broken in (
            ("null", "null instead of a value", None, "null_item"),
            ("wrong-type", "another type", value, rule),
        ):
            changed = items | {first: wrong} if is_map(field) else [wrong, *items[1:]]
            yield self.case(at, name, why, self._body(steps, changed), (*steps, str(first)), broken)

    def _body(self, steps: tuple[str, ...], value: Any) -> bytes:
        return json.dumps(_with(self.root, steps, value)).encode()


def _wrong(field: FieldDescriptor, *, item: bool = False) -> tuple[Any, str]:
    if field.is_repeated and not item:
        return (1, "object_type") if is_map(field) else (1, "list_type")
    kind = kind_of(field)
    return _WRONG_TYPES[kind] if kind is not None else (1, "object_type")


def _with(document: Any, steps: tuple[str, ...], value: Any) -> Any:
    if not steps:
        return value
    return document | {steps[0]: _with(document.get(steps[0], {}), steps[1:], value)}
