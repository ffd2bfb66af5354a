"""Copies of a row that differ in one field, and those of them that are valid but that a model may not expect."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell_contract.examples.boundary_values import FOREIGN_TEXT
from foretell_contract.examples.example import field_example
from foretell_contract.fields import Kind, enum_of, is_in_oneof, is_map, is_nested, kind_of
from foretell_contract.labels import is_unspecified
from foretell_contract.rules.rules import FieldRules, Rules


@dataclass(frozen=True, slots=True)
class Variant:
    """A valid row that differs from the example in one field."""

    row: Message
    path: str
    statement: str
    """What the contract allows for the field, such as "may be missing"."""
    fix: str
    """How to forbid such a row in the contract."""
    is_shorter: bool = False
    """Whether the row lacks an optional field of its own, which breaks no rule of another field."""


def variants(row: Message, rules: Rules) -> Iterator[Variant]:
    """Rows with each optional field missing, other members of each oneof, unspecified enum values and unknown texts."""
    for variant in _candidates(row, row, (), rules):
        if (variant.is_shorter and rules.declared("message", row.DESCRIPTOR) is None) or not rules.violations(variant.row):
            yield variant


def _candidates(row: Message, part: Any, parents: tuple[str, ...], rules: Rules) -> Iterator[Variant]:
    for field in part.DESCRIPTOR.fields:
        path = ".".join((*parents, field.name))
        if is_in_oneof(field) and not part.HasField(field.name):
            value = field_example(field, rules)
            if value is not None:
                yield Variant(with_value(row, parents, field.name, value), path, "may be given alone", "leave it out of the oneof")
        if not (part.HasField(field.name) if field.has_presence else getattr(part, field.name)):
            continue
        own = rules.of(field)
        if (field.has_presence or field.is_repeated) and (own.ignored or not own.required):
            is_shorter = not parents and field.has_presence and not is_in_oneof(field)
            yield Variant(with_value(row, parents, field.name, None), path, "may be missing", _fix(field), is_shorter)
        if is_map(field) and len(getattr(part, field.name)) > 1:
            for key in getattr(part, field.name):
                yield Variant(without_key(row, parents, field.name, key), f"{path}[{key}]", "may be missing", _fix(field))
        yield from _unusual(row, field, parents, path, own)
        if is_nested(field) and not field.is_repeated:
            yield from _candidates(row, getattr(part, field.name), (*parents, field.name), rules)


def _unusual(row: Message, field: FieldDescriptor, parents: tuple[str, ...], path: str, own: FieldRules) -> Iterator[Variant]:
    if field.is_repeated or field.message_type is not None:
        return
    values = {} if own.ignored else own.values
    if kind_of(field) is Kind.ENUM and 0 not in values.get("not_in", ()):
        for value in filter(is_unspecified, enum_of(field).values):
            unspecified = with_value(row, parents, field.name, 0)
            yield Variant(unspecified, path, f"may be {value.name}", "exclude it with `enum.not_in = 0`")
    if kind_of(field) is Kind.TEXT and FOREIGN_TEXT in values.get("in", (FOREIGN_TEXT,)):
        foreign = with_value(row, parents, field.name, FOREIGN_TEXT)
        yield Variant(foreign, path, "may be any text", "list what it may be in `string.in`")


def _fix(field: FieldDescriptor) -> str:
    return "demand all keys with `map.min_pairs`" if is_map(field) else "make it `required`"


def with_value(row: Message, parents: tuple[str, ...], name: str, value: Any) -> Message:
    """A copy in which the field `name` under the fields `parents` has another value; None clears the field."""
    copy, part = _copied(row, parents)
    part.ClearField(name)
    if value is not None:
        part.MergeFrom(type(part)(**{name: value}))
    return copy


def without_key(row: Message, parents: tuple[str, ...], name: str, key: Any) -> Message:
    """A copy in which the map `name` lacks a key."""
    copy, part = _copied(row, parents)
    del getattr(part, name)[key]
    return copy


def _copied(row: Message, parents: tuple[str, ...]) -> tuple[Message, Any]:
    copy: Any = type(row)()
    copy.CopyFrom(row)
    part = copy
    for name in parents:
        part = getattr(part, name)
    return copy, part
