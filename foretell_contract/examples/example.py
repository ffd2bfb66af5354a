"""Builds example messages from the examples of their fields."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.errors import ContractError
from foretell_contract.fields import is_map, is_nested, map_entry, message_of, oneof_name, wrapped
from foretell_contract.problem import one_line
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.rules.rules import FieldRules, Rules, Violation


def example(message: Descriptor, rules: Rules) -> Message | None:
    """A message with the first example of each field that has one; a list of messages gets the fewest items allowed.

    None if the message is invalid and some field has no example. Raises ContractError if it is invalid although all fields have
    one, because the docs would show a call that is refused.
    """
    built, complete = _build(message, rules)
    for violation in _violations(built, rules):
        if not complete:
            return None
        name = f"{message.full_name}.{violation.field}" if violation.field else message.full_name
        raise ContractError(f"the example of {name} breaks the contract's own rule {violation.rule}: {violation.message}")
    return built


def failing_examples(message: Descriptor, rules: Rules) -> Iterator[tuple[str, str]]:
    """Full name and reason of every example, at any depth, that breaks a rule of its own field."""
    for trial in _trials(message, rules):
        for violation in _violations(GetMessageClass(message)(**{name: each for name, (_, each) in trial.items()}), rules):
            name, index, _ = violation.field.partition("[")
            if name in trial and bool(index) == message.fields_by_name[name].is_repeated:
                broken = f"rule {violation.rule}: {violation.message}"
                example_of = f"the example {trial[name][0]!r} of {message.full_name}.{name}"
                yield f"{message.full_name}.{name}", f"{example_of} breaks the contract's own {broken}"
    for field in filter(is_nested, message.fields):
        yield from failing_examples(message_of(field), rules)


def _trials(message: Descriptor, rules: Rules) -> list[dict[str, tuple[Any, Any]]]:
    """All examples of the fields in few messages, which have at most one member of a oneof: as written, and as an argument."""
    trials: defaultdict[int, dict[str, tuple[Any, Any]]] = defaultdict(dict)
    taken: Counter[str] = Counter()
    for field in message.fields:
        group = oneof_name(field) or field.name
        for each in _each(field, rules.of(field)):
            trials[taken[group]][field.name] = each
            taken[group] += 1
    return list(trials.values())


def field_example(field: FieldDescriptor, rules: Rules) -> Any:
    """The example of a field as a message's constructor takes it; None if it has none."""
    return _field(field, rules)[0]


def _violations(built: Message, rules: Rules) -> list[Violation]:
    try:
        return rules.violations(built)
    except EvaluationError as error:
        raise ContractError(f"a rule of {built.DESCRIPTOR.full_name} fails on its example: {one_line(error)}") from None


def _build(message: Descriptor, rules: Rules) -> tuple[Message, bool]:
    """The message, and whether every field has an example; of a oneof the first member with an example is set."""
    arguments: dict[str, Any] = {}
    complete = True
    chosen: set[str] = set()
    for field in message.fields:
        group = oneof_name(field)
        if group in chosen:
            continue
        value, whole = _field(field, rules)
        complete = complete and whole
        if value is not None:
            arguments[field.name] = value
            chosen |= {group} if group else set()
    return GetMessageClass(message)(**arguments), complete


def _field(field: FieldDescriptor, rules: Rules) -> tuple[Any, bool]:
    """The example of a field or None, and whether everything inside it has an example."""
    own = rules.of(field)
    if is_map(field):
        found = dict(zip(map_keys(field, own), cycle(_values(field, own)), strict=False))
        return found or None, bool(found)
    if is_nested(field):
        one, whole = _build(message_of(field), rules)
        return ([one] * max(1, own.values.get("min_items", 1)) if field.is_repeated else one), whole
    values = _values(field, own)
    if not values:
        return None, False
    return (list(islice(cycle(values), max(1, own.values.get("min_items", 1)))) if field.is_repeated else values[0]), True


def map_keys(field: FieldDescriptor, own: FieldRules) -> Sequence[Any]:
    """Keys of a map: both of a bool, those that the rules list, or their examples."""
    if map_entry(field)[0].cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return (False, True)
    keys = own.values.get("keys")
    return (keys.values.get("in") or keys.examples) if keys else ()


def _values(field: FieldDescriptor, own: FieldRules) -> list[Any]:
    """Examples of a single value of the field, as a message's constructor takes them."""
    rules: FieldRules | None = own
    if is_map(field):
        field, rules = map_entry(field)[1], own.values.get("values")
    elif field.is_repeated:
        rules = own.values.get("items")
    return [wrapped(field, value) for value in rules.examples] if rules else []


def _each(field: FieldDescriptor, own: FieldRules) -> Iterator[tuple[Any, Any]]:
    """Each single example of the field: as it is written in the contract, and as a message's constructor takes it."""
    for argument in _values(field, own):
        value = argument["value"] if isinstance(argument, dict) else argument
        if is_map(field):
            for key in map_keys(field, own)[:1]:
                yield value, {key: argument}
        else:
            yield value, [argument] if field.is_repeated else argument
