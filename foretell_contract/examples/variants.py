"""Rows beside the example that keep the rules as well, and that a model may not expect."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell_contract.examples.example import part_of
from foretell_contract.examples.row_mutations import with_value, without_key
from foretell_contract.fields import Kind, enum_of, is_in_oneof, is_map, is_nested, kind_of
from foretell_contract.labels import is_unspecified
from foretell_contract.rules.rules import Rules

_FOREIGN = "foretell"
"""A text that no model was trained on."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A row that differs from the example in one field."""

    row: Message
    path: str
    says: str
    """What of the field this shows, in words."""
    fix: str
    """What to write in the contract where no such row should be."""


def variants(row: Message, rules: Rules) -> Iterator[Variant]:
    """Every field missing that may be, the other members of each oneof, values that stand for none, and text nobody knows."""
    for found in _of(row, row, (), rules):
        if not rules.violations(found.row):
            yield found


def _of(row: Message, part: Any, above: tuple[str, ...], rules: Rules) -> Iterator[Variant]:
    for field in part.DESCRIPTOR.fields:
        path = ".".join((*above, field.name))
        if is_in_oneof(field) and not part.HasField(field.name):
            value = part_of(field, rules)
            if value is not None:
                yield Variant(with_value(row, above, field.name, value), path, "may be given alone", "leave it out of the oneof")
        if not (part.HasField(field.name) if field.has_presence else getattr(part, field.name)):
            continue
        if field.has_presence or field.is_repeated:
            yield Variant(with_value(row, above, field.name, None), path, "may be missing", f"make it {_must(field)}")
        if is_map(field) and len(getattr(part, field.name)) > 1:
            for key in getattr(part, field.name):
                yield Variant(
                    without_key(row, above, field.name, key), f"{path}[{key}]", "may be missing", f"make it {_must(field)}"
                )
        yield from _odd(row, field, above, path)
        if is_nested(field) and not field.is_repeated:
            yield from _of(row, getattr(part, field.name), (*above, field.name), rules)


def _odd(row: Message, field: FieldDescriptor, above: tuple[str, ...], path: str) -> Iterator[Variant]:
    if field.is_repeated:
        return
    kind = kind_of(field)
    if kind is Kind.ENUM and field.message_type is None:
        for value in enum_of(field).values:
            if is_unspecified(value):
                yield Variant(
                    with_value(row, above, field.name, 0), path, f"may be {value.name}", "exclude it with `enum.not_in = 0`"
                )
    if kind is Kind.TEXT and field.message_type is None:
        yield Variant(with_value(row, above, field.name, _FOREIGN), path, "may be any text", "list what it may be in `string.in`")


def _must(field: FieldDescriptor) -> str:
    if is_map(field):
        return "have all keys with `map.min_pairs`"
    return "`required`"
