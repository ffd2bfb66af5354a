"""Builds rows that differ from a valid row in one field: at and beyond each bound, nested fields included."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell_contract.examples.boundary_values import boundary_values
from foretell_contract.examples.valid_row import valid_row
from foretell_contract.examples.variants import with_value, without_key
from foretell_contract.fields import Kind, is_in_oneof, is_map, is_nested, kind_of, map_entry, message_of, wrapped
from foretell_contract.rules.rules import NO_RULES, Rules

_UNKNOWN_KEYS: dict[Kind | None, Any] = {Kind.TEXT: "foretell", Kind.INTEGER: 77_777}
"""Map keys that no contract lists."""


@dataclass(frozen=True, slots=True)
class RowVariation:
    """A row, and the field in which it differs."""

    path: str
    name: str
    why: str
    row: Message


def row_variations(row: Message, rules: Rules) -> Iterator[RowVariation]:
    """Variations of `row`, which is valid: values at and beyond bounds, missing fields, and too few or too many items."""
    yield RowVariation("", "example", "a row that keeps every rule", row)
    yield RowVariation("", "empty", "every field is missing", type(row)())
    yield from _Variations(row, rules).of_fields(row, ())
    yield from _corners(row, rules)


@dataclass(frozen=True, slots=True)
class _Variations:
    row: Message
    rules: Rules

    def of_fields(self, message: Any, parents: tuple[str, ...]) -> Iterator[RowVariation]:
        for field in message.DESCRIPTOR.fields:
            path = ".".join((*parents, field.name))
            is_set = message.HasField(field.name) if field.has_presence else bool(getattr(message, field.name))
            if is_set and (field.has_presence or field.is_repeated):
                yield self._changed(path, "missing", "the field is left out", parents, field, None)
            if is_map(field):
                yield from self._map(field, getattr(message, field.name), parents, path)
            elif is_nested(field):
                yield from self._nested(field, message, parents, is_set=is_set)
            elif field.is_repeated:
                yield from self._list(field, list(getattr(message, field.name)), parents, path)
            else:
                for boundary in boundary_values(field, self.rules.of(field)):
                    yield self._changed(path, boundary.name, boundary.why, parents, field, wrapped(field, boundary.value))

    def _changed(
        self, path: str, name: str, why: str, parents: tuple[str, ...], field: FieldDescriptor, value: Any
    ) -> RowVariation:
        return RowVariation(path, name, why, with_value(self.row, parents, field.name, value))

    def _nested(self, field: FieldDescriptor, message: Any, parents: tuple[str, ...], *, is_set: bool) -> Iterator[RowVariation]:
        if field.is_repeated:
            return
        inside = (*parents, field.name)
        if is_set:
            yield from self.of_fields(getattr(message, field.name), inside)
        elif is_in_oneof(field) and (one := valid_row(message_of(field), self.rules)) is not None:
            yield self._changed(".".join(inside), "instead", "another member of the oneof", parents, field, one)

    def _list(self, field: FieldDescriptor, items: list[Any], parents: tuple[str, ...], path: str) -> Iterator[RowVariation]:
        if not items:
            return
        yield self._changed(path, "too-few", "one item fewer than columns", parents, field, items[:-1])
        yield self._changed(path, "too-many", "one item more than columns", parents, field, [*items, items[-1]])
        if len(items) > 1:
            yield self._changed(path, "all-alike", "the first item repeated", parents, field, items[:1] * len(items))
        for boundary in boundary_values(field, self.rules.of(field).values.get("items", NO_RULES)):
            changed = [wrapped(field, boundary.value), *items[1:]]
            yield self._changed(f"{path}[0]", boundary.name, boundary.why, parents, field, changed)

    def _map(self, field: FieldDescriptor, pairs: Any, parents: tuple[str, ...], path: str) -> Iterator[RowVariation]:
        value = map_entry(field)[1]
        known = {key: pairs[key] for key in pairs}
        if not known:
            return
        first = next(iter(known))
        yield RowVariation(f"{path}[{first}]", "missing", "the map lacks a key", without_key(self.row, parents, field.name, first))
        unknown = _UNKNOWN_KEYS.get(kind_of(map_entry(field)[0]))
        if unknown is not None:
            more = known | {unknown: known[first]}
            yield self._changed(path, "strange-key", "a key without a column", parents, field, more)
        if is_nested(value):
            return
        for boundary in boundary_values(value, self.rules.of(field).values.get("values", NO_RULES)):
            changed = known | {first: wrapped(value, boundary.value)}
            yield self._changed(f"{path}[{first}]", boundary.name, boundary.why, parents, field, changed)


def _corners(row: Message, rules: Rules) -> Iterator[RowVariation]:
    """All numbers at one bound, and one at the other bound: this breaks rules across fields."""
    every: list[FieldDescriptor] = list(row.DESCRIPTOR.fields)  # type: ignore[arg-type]  # the stub widens DESCRIPTOR
    fields = [field for field in every if not field.is_repeated and not is_in_oneof(field)]
    bounds = {field.name: found for field in fields if (found := _finite_bounds(field, rules))}
    if len(bounds) < 2:
        return
    ruled = rules.cel_messages(row.DESCRIPTOR)  # type: ignore[arg-type]  # the stub widens DESCRIPTOR
    for here, there in (("min", "max"), ("max", "min")):
        corner = {name: found[there] for name, found in bounds.items()}
        yield RowVariation("", f"all-{there}", f"every number at its {there}", _replaced(row, corner))
        for name in bounds if ruled else ():
            one = _replaced(row, corner | {name: bounds[name][here]})
            yield RowVariation(name, f"{here}-of-all-{there}", f"the others at their {there}", one)


def _finite_bounds(field: FieldDescriptor, rules: Rules) -> dict[str, Any]:
    """The `min` and `max` of a number; empty if it has not both as finite values."""
    found = {
        boundary.name: boundary.value for boundary in boundary_values(field, rules.of(field)) if boundary.name in ("min", "max")
    }
    bounded = len(found) == 2 and not any(isinstance(value, float) and math.isinf(value) for value in found.values())
    return {name: wrapped(field, value) for name, value in found.items()} if bounded else {}


def _replaced(row: Message, values: dict[str, Any]) -> Message:
    for name, value in values.items():
        row = with_value(row, (), name, value)
    return row
