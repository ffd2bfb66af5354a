"""Builds a valid message: the example if there is one, else by search."""

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.examples.boundary_values import BoundaryValue, boundary_values
from foretell_contract.examples.example import field_example, map_keys
from foretell_contract.fields import Kind, is_map, is_nested, kind_of, map_entry, message_of, oneof_name, value_field, wrapped
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.rules.rules import NO_RULES, FieldRules, Rules

_PASSES = 3
"""How often all fields are tried again, because rules may join fields."""

_PER_FIELD = 24
"""Most candidates to try for a field in a pass."""

_ORDINARY = (1, -1, 10, -10, 1_000, -1_000)

_LARGE = 1e6
"""Larger numbers are tried last: models rarely expect them."""


def valid_row(message: Descriptor, rules: Rules) -> Message | None:
    """The example if it is complete and valid, else a valid message close to it; None if the search finds none."""
    arguments: dict[str, Any] = {}
    chosen: set[str] = set()
    for field in message.fields:
        group = oneof_name(field)
        arguments[field.name] = None if group in chosen else _first(field, rules)
        chosen |= {group} if group and arguments[field.name] is not None else set()
    broken = _broken(message, arguments, rules)
    for _ in range(_PASSES):
        for field in message.fields:
            for value in islice(_candidates(field, rules), _PER_FIELD) if broken else ():
                trial = arguments | {field.name: value}
                fewer = _broken(message, trial, rules)
                if fewer < broken:
                    arguments, broken = trial, fewer
    return _built(message, arguments) if not broken else None


def _built(message: Descriptor, arguments: dict[str, Any]) -> Message:
    return GetMessageClass(message)(**{name: value for name, value in arguments.items() if value is not None})


def _broken(message: Descriptor, arguments: dict[str, Any], rules: Rules) -> int:
    try:
        return len(rules.violations(_built(message, arguments)))
    except EvaluationError:
        return 1_000  # Worse than any number of violations.


def _first(field: FieldDescriptor, rules: Rules) -> Any:
    if is_nested(field) and not field.is_repeated:
        return valid_row(message_of(field), rules)
    value = field_example(field, rules)
    return value if value is not None else next(_candidates(field, rules), None)


def _candidates(field: FieldDescriptor, rules: Rules) -> Iterator[Any]:
    """Values to try for the field, the most ordinary first; None, to leave it out, last."""
    own = rules.of(field)
    if is_map(field):
        keys = map_keys(field, own)
        values = _values(map_entry(field)[1], own.values.get("values", NO_RULES))
        for value in values:
            yield dict.fromkeys(keys, value)
    elif is_nested(field):
        one = valid_row(message_of(field), rules)
        if one is not None:
            yield [one] * max(1, own.values.get("min_items", 1)) if field.is_repeated else one
    elif field.is_repeated:
        items = own.values.get("items", NO_RULES)
        values = _values(field, items)
        length = max(1, own.values.get("min_items", 1))
        if kind_of(field) in (Kind.NUMBER, Kind.INTEGER) and not items.examples:
            yield [wrapped(field, number) for number in _spread(field, items, length)]
        for start in range(len(values)):
            yield list(islice(cycle(values[start:] + values[:start]), length))
        if kind_of(field) is Kind.TEXT:
            yield [wrapped(field, f"text {number}") for number in range(1, length + 1)]  # All different.
        yield from ([value] * length for value in values)
    else:
        yield from _values(field, own)
    yield None


def _values(field: FieldDescriptor, own: FieldRules) -> list[Any]:
    return [wrapped(field, value) for value in (*own.examples, *(boundary.value for boundary in _ordinary(field, own)))]


def _ordinary(field: FieldDescriptor, own: FieldRules) -> Any:
    """Boundary values, those within the bounds first and large numbers last.

    Ordinary numbers are added, because the boundary values of an open range may be infinite or tiny, which JSON cannot express.
    """
    found = boundary_values(field, own)
    if kind_of(field) in (Kind.NUMBER, Kind.INTEGER):
        numbers = [number for number in _ORDINARY if number > 0 or not _unsigned(field)]
        found += [BoundaryValue("ordinary", number, "an ordinary number") for number in numbers]
        found.sort(key=lambda boundary: (not abs(boundary.value) < _LARGE, boundary.name.startswith(("below", "above"))))
    return found


def _unsigned(field: FieldDescriptor) -> bool:
    return value_field(field).cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)


def _spread(field: FieldDescriptor, own: FieldRules, length: int) -> list[float]:
    """`length` different numbers within the bounds, because there are few boundary values, and JSON cannot express all of them."""
    bounds = {boundary.name: boundary.value for boundary in boundary_values(field, own) if boundary.name in ("min", "max")}
    most = bounds.get("max", _LARGE)
    low = max(bounds.get("min", 0.0), min(0.0, most - length - 1))
    high = min(most, low + length + 1)
    if kind_of(field) is Kind.INTEGER:
        return [int(low + (high - low) * place // max(1, length - 1)) for place in range(length)]
    return [low + (high - low) * place / (length + 1) for place in range(1, length + 1)]
