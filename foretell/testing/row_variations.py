"""Rows that differ from a valid one in one place: every edge of every field, however deep."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell_contract.examples.boundary_values import BoundaryValue, boundary_values
from foretell_contract.examples.row_mutations import with_value, without_key
from foretell_contract.examples.valid_row import valid_row
from foretell_contract.fields import Kind, is_in_oneof, is_map, is_nested, is_wrapper, kind_of, map_entry, message_of
from foretell_contract.rules.rules import NO_RULES, Rules

_STRANGE_KEYS: dict[Kind | None, Any] = {Kind.TEXT: "foretell", Kind.INTEGER: 77_777}
"""Keys that no contract lists."""


@dataclass(frozen=True, slots=True)
class RowVariation:
    """A row and what is different in it."""

    place: str
    name: str
    why: str
    row: Message


def row_variations(row: Message, rules: Rules) -> Iterator[RowVariation]:
    """From `row`, which is valid: fields at and beyond their bounds, missing, and of lists and maps too few and too many."""
    yield RowVariation("", "example", "a row that keeps every rule", row)
    yield RowVariation("", "empty", "nothing is said at all", type(row)())
    yield from _Changed(row, rules).of(row, ())
    yield from _corners(row, rules)


@dataclass(frozen=True, slots=True)
class _Changed:
    row: Message
    rules: Rules

    def of(self, part: Any, above: tuple[str, ...]) -> Iterator[RowVariation]:
        for field in part.DESCRIPTOR.fields:
            place = ".".join((*above, field.name))
            there = part.HasField(field.name) if field.has_presence else bool(getattr(part, field.name))
            if there and (field.has_presence or field.is_repeated):
                yield RowVariation(place, "missing", "the field is left out", with_value(self.row, above, field.name, None))
            if is_map(field):
                yield from self._map(field, getattr(part, field.name), above, place)
            elif is_nested(field):
                yield from self._nested(field, part, above, there=there)
            elif field.is_repeated:
                yield from self._list(field, list(getattr(part, field.name)), above, place)
            else:
                for edge in boundary_values(field, self.rules.of(field)):
                    yield self._edge(edge, _wrapped(field, edge.value), above, field.name, place)

    def _edge(self, edge: BoundaryValue, value: Any, above: tuple[str, ...], name: str, place: str) -> RowVariation:
        return RowVariation(place, edge.name, edge.why, with_value(self.row, above, name, value))

    def _nested(self, field: FieldDescriptor, part: Any, above: tuple[str, ...], *, there: bool) -> Iterator[RowVariation]:
        if field.is_repeated:
            return
        inside = (*above, field.name)
        if there:
            yield from self.of(getattr(part, field.name), inside)
        elif is_in_oneof(field) and (one := valid_row(message_of(field), self.rules)) is not None:
            yield RowVariation(
                ".".join(inside), "instead", "another member of the oneof", with_value(self.row, above, field.name, one)
            )

    def _list(self, field: FieldDescriptor, items: list[Any], above: tuple[str, ...], place: str) -> Iterator[RowVariation]:
        if not items:
            return

        def change(name: str, why: str, value: list[Any], at: str = place) -> RowVariation:
            return RowVariation(at, name, why, with_value(self.row, above, field.name, value))

        yield change("too-few", "an item less than there is a column for", items[:-1])
        yield change("too-many", "an item more than there is a column for", [*items, items[-1]])
        if len(items) > 1:
            yield change("all-alike", "one item again and again", items[:1] * len(items))
        for edge in boundary_values(field, self.rules.of(field).values.get("items", NO_RULES)):
            yield change(edge.name, edge.why, [_wrapped(field, edge.value), *items[1:]], f"{place}[0]")

    def _map(self, field: FieldDescriptor, pairs: Any, above: tuple[str, ...], place: str) -> Iterator[RowVariation]:
        value = map_entry(field)[1]
        known = {key: pairs[key] for key in pairs}
        if not known:
            return
        first = next(iter(known))
        yield RowVariation(f"{place}[{first}]", "missing", "the map lacks a key", without_key(self.row, above, field.name, first))
        strange = _STRANGE_KEYS.get(kind_of(map_entry(field)[0]))
        if strange is not None:
            more = known | {strange: known[first]}
            yield RowVariation(place, "strange-key", "a key that is no column", with_value(self.row, above, field.name, more))
        if is_nested(value):
            return
        for edge in boundary_values(value, self.rules.of(field).values.get("values", NO_RULES)):
            changed = known | {first: _wrapped(value, edge.value)}
            yield self._edge(edge, changed, above, field.name, f"{place}[{first}]")


def _corners(row: Message, rules: Rules) -> Iterator[RowVariation]:
    """All numbers at one end, and each at the other end than the rest: where rules across fields bite."""
    every: list[FieldDescriptor] = list(row.DESCRIPTOR.fields)  # type: ignore[arg-type]  # the stub widens DESCRIPTOR
    fields = [field for field in every if not field.is_repeated and not is_in_oneof(field)]
    ends = {field.name: found for field in fields if (found := _ends(field, rules))}
    if len(ends) < 2:
        return
    ruled = rules.cel_messages(row.DESCRIPTOR)  # type: ignore[arg-type]  # the stub widens DESCRIPTOR
    for here, there in (("min", "max"), ("max", "min")):
        corner = {name: found[there] for name, found in ends.items()}
        yield RowVariation("", f"all-{there}", f"every number at its {there}", _replaced(row, corner))
        for name in ends if ruled else ():
            one = _replaced(row, corner | {name: ends[name][here]})
            yield RowVariation(name, f"{here}-of-all-{there}", f"the others at their {there}", one)


def _ends(field: FieldDescriptor, rules: Rules) -> dict[str, Any]:
    """The least and the most that a number may be; empty where that is not plain."""
    found = {edge.name: edge.value for edge in boundary_values(field, rules.of(field)) if edge.name in ("min", "max")}
    bounded = len(found) == 2 and not any(isinstance(value, float) and math.isinf(value) for value in found.values())
    return {name: _wrapped(field, value) for name, value in found.items()} if bounded else {}


def _replaced(row: Message, values: dict[str, Any]) -> Message:
    for name, value in values.items():
        row = with_value(row, (), name, value)
    return row


def _wrapped(field: FieldDescriptor, value: Any) -> Any:
    return {"value": value} if is_wrapper(field) else value
