"""Example messages, assembled from the examples of the fields."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.errors import ContractError
from foretell_contract.fields import is_in_oneof, is_map, is_nested, is_wrapper, map_entry, message_of
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.rules.rules import FieldRules, Rules, Violation


def example(message: Descriptor, rules: Rules) -> Message | None:
    """A message with the first example of each field that has one; a list of messages gets one item.

    None when a field without an example is missed. Raises ContractError when examples everywhere still break a rule, because then
    the docs would teach a refused call.
    """
    built, complete = _build(message, rules)
    for violation in _violations(built, rules):
        if not complete:
            return None
        place = f"{message.full_name}.{violation.field}" if violation.field else message.full_name
        raise ContractError(f"the example of {place} breaks the contract's own rule {violation.rule}: {violation.message}")
    return built


def failing_examples(message: Descriptor, rules: Rules) -> Iterator[tuple[str, str]]:
    """Every example that its own field's rules refuse, however deep, as the field's full name and what is wrong."""
    for field in message.fields:
        for value, given in _each(field, rules.of(field)):
            trial = GetMessageClass(message)(**{field.name: given})
            for violation in _violations(trial, rules):
                if violation.field.partition("[")[0] == field.name and ("[" in violation.field) == field.is_repeated:
                    broken = f"rule {violation.rule}: {violation.message}"
                    yield field.full_name, f"the example {value!r} of {field.full_name} breaks the contract's own {broken}"
        if is_nested(field):
            yield from failing_examples(message_of(field), rules)


def part_of(field: FieldDescriptor, rules: Rules) -> Any:
    """What the field is in an example, as a message's constructor takes it; None where it has no example."""
    return _part(field, rules)[0]


def _violations(built: Message, rules: Rules) -> list[Violation]:
    try:
        return rules.violations(built)
    except EvaluationError as error:
        reason = " ".join(str(error).split())
        raise ContractError(f"a rule of {built.DESCRIPTOR.full_name} fails on its example: {reason}") from None


def _build(message: Descriptor, rules: Rules) -> tuple[Message, bool]:
    """The example, and whether every field has one; of a oneof it has the first member with an example."""
    parts: dict[str, Any] = {}
    complete = True
    chosen: set[str] = set()
    for field in message.fields:
        group = field.containing_oneof.name if is_in_oneof(field) and field.containing_oneof else ""
        if group in chosen:
            continue
        part, whole = _part(field, rules)
        complete = complete and whole
        if part is not None:
            parts[field.name] = part
            chosen |= {group} if group else set()
    return GetMessageClass(message)(**parts), complete


def _part(field: FieldDescriptor, rules: Rules) -> tuple[Any, bool]:
    """What a field of the example is, or None, and whether everything in it has an example."""
    told = rules.of(field)
    if is_map(field):
        found = dict(zip(_keys(field, told), cycle(_values(field, told)), strict=False))
        return found or None, bool(found)
    if is_nested(field):
        one, whole = _build(message_of(field), rules)
        return ([one] * max(1, told.values.get("min_items", 1)) if field.is_repeated else one), whole
    values = _values(field, told)
    if not values:
        return None, False
    return (list(islice(cycle(values), max(1, told.values.get("min_items", 1)))) if field.is_repeated else values[0]), True


def _keys(field: FieldDescriptor, told: FieldRules) -> Sequence[Any]:
    """Keys of an example: those that the rules list, else the examples."""
    if map_entry(field)[0].cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return (False, True)
    keys = told.values.get("keys")
    return (keys.values.get("in") or keys.examples) if keys else ()


def _values(field: FieldDescriptor, told: FieldRules) -> list[Any]:
    """The examples of a value of the field, as a message's constructor takes them."""
    rules: FieldRules | None = told
    if is_map(field):
        field, rules = map_entry(field)[1], told.values.get("values")
    elif field.is_repeated:
        rules = told.values.get("items")
    return [{"value": value} if is_wrapper(field) else value for value in rules.examples] if rules else []


def _each(field: FieldDescriptor, told: FieldRules) -> Iterator[tuple[Any, Any]]:
    """Every example of the field, alone: as it is written, and as a message's constructor takes it."""
    for given in _values(field, told):
        value = given["value"] if isinstance(given, dict) else given
        if is_map(field):
            for key in _keys(field, told)[:1]:
                yield value, {key: given}
        else:
            yield value, [given] if field.is_repeated else given
