"""A message that keeps every rule of the contract, found by trying where the examples do not say one."""

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.examples.boundary_values import BoundaryValue, boundary_values
from foretell_contract.examples.example import part_of
from foretell_contract.fields import Kind, is_in_oneof, is_map, is_nested, is_wrapper, kind_of, map_entry, message_of, value_field
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.rules.rules import NO_RULES, FieldRules, Rules

_PASSES = 3
"""How often all fields are looked at again, because one may depend on another."""

_PER_FIELD = 24

_ORDINARY = (1, -1, 10, -10, 1_000, -1_000)

_LARGE = 1e6
"""No number is larger than a model may expect."""


def valid_row(message: Descriptor, rules: Rules) -> Message | None:
    """The example where there is a whole one, else one as near to it as was found; None where none was found."""
    parts = {field.name: _first(field, rules) for field in message.fields}
    chosen: set[str] = set()
    for field in message.fields:
        group = field.containing_oneof
        if is_in_oneof(field) and group is not None and parts[field.name] is not None:
            parts[field.name] = None if group.name in chosen else parts[field.name]
            chosen.add(group.name)
    broken = _broken(message, parts, rules)
    for _ in range(_PASSES):
        for field in message.fields:
            for part in islice(_candidates(field, rules), _PER_FIELD) if broken else ():
                trial = parts | {field.name: part}
                fewer = _broken(message, trial, rules)
                if fewer < broken:
                    parts, broken = trial, fewer
    return _built(message, parts) if not broken else None


def _built(message: Descriptor, parts: dict[str, Any]) -> Message:
    return GetMessageClass(message)(**{name: part for name, part in parts.items() if part is not None})


def _broken(message: Descriptor, parts: dict[str, Any], rules: Rules) -> int:
    try:
        return len(rules.violations(_built(message, parts)))
    except EvaluationError:
        return 1_000  # Worse than any number of rules that can be judged.


def _first(field: FieldDescriptor, rules: Rules) -> Any:
    if is_nested(field) and not field.is_repeated:
        return valid_row(message_of(field), rules)
    part = part_of(field, rules)
    return part if part is not None else next(_candidates(field, rules), None)


def _candidates(field: FieldDescriptor, rules: Rules) -> Iterator[Any]:
    """What the field may be, the most ordinary first; None for nothing at all."""
    told = rules.of(field)
    if is_map(field):
        keys = _keys(field, told)
        values = _values(map_entry(field)[1], told.values.get("values", NO_RULES))
        for value in values:
            yield dict.fromkeys(keys, value)
    elif is_nested(field):
        one = valid_row(message_of(field), rules)
        if one is not None:
            yield [one] * max(1, told.values.get("min_items", 1)) if field.is_repeated else one
    elif field.is_repeated:
        items = told.values.get("items", NO_RULES)
        values = _values(field, items)
        length = max(1, told.values.get("min_items", 1))
        if kind_of(field) in (Kind.NUMBER, Kind.INTEGER) and not items.examples:
            yield _wrapped(field, _spread(field, items, length))
        for start in range(len(values)):
            yield list(islice(cycle(values[start:] + values[:start]), length))
        if kind_of(field) is Kind.TEXT:
            yield _wrapped(field, [f"text {number}" for number in range(1, length + 1)])  # All different.
        yield from ([value] * length for value in values)
    else:
        yield from _values(field, told)
    yield None


def _values(field: FieldDescriptor, told: FieldRules) -> list[Any]:
    return _wrapped(field, [*told.examples, *(edge.value for edge in _ordinary(field, told))])


def _wrapped(field: FieldDescriptor, values: list[Any]) -> list[Any]:
    """As a message's constructor takes them."""
    return [{"value": value} for value in values] if is_wrapper(field) else values


def _ordinary(field: FieldDescriptor, told: FieldRules) -> Any:
    """The edges, those without a fault first, and large numbers last.

    Others are tried as well: where any number but 0 may be, or one is to be below another, no edge may be one that JSON can say.
    """
    found = boundary_values(field, told)
    if kind_of(field) in (Kind.NUMBER, Kind.INTEGER):
        found += [BoundaryValue("ordinary", number, "as numbers go") for number in _ORDINARY if number > 0 or not _unsigned(field)]
        found.sort(key=lambda edge: (not abs(edge.value) < _LARGE, edge.name.startswith(("below", "above"))))
    return found


def _unsigned(field: FieldDescriptor) -> bool:
    return value_field(field).cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)


def _spread(field: FieldDescriptor, told: FieldRules, length: int) -> list[float]:
    """So many different numbers between the least and the most, for edges are few and may be none that JSON can say."""
    bounds = {edge.name: edge.value for edge in boundary_values(field, told) if edge.name in ("min", "max")}
    most = bounds.get("max", _LARGE)
    low = max(bounds.get("min", 0.0), min(0.0, most - length - 1))
    high = min(most, low + length + 1)
    if kind_of(field) is Kind.INTEGER:
        return [int(low + (high - low) * place // max(1, length - 1)) for place in range(length)]
    return [low + (high - low) * place / (length + 1) for place in range(1, length + 1)]


def _keys(field: FieldDescriptor, told: FieldRules) -> tuple[Any, ...]:
    of_keys = told.values.get("keys", NO_RULES)
    if map_entry(field)[0].cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return (False, True)
    return tuple(of_keys.values.get("in", ()) or of_keys.examples)
