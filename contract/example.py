"""Example messages, assembled from the examples of the fields."""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from protovalidate import EvaluationError

from contract.errors import ContractError
from contract.rules import Rules, Violation


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
    """Every example that its own field's rules refuse, as the field's full name and what is wrong."""
    for field in message.fields:
        for value in rules.of(field).examples:
            trial = GetMessageClass(message)(**{field.name: value})
            for violation in _violations(trial, rules):
                if violation.field == field.name:
                    broken = f"rule {violation.rule}: {violation.message}"
                    yield field.full_name, f"the example {value!r} of {field.full_name} breaks the contract's own {broken}"


def _violations(built: Message, rules: Rules) -> list[Violation]:
    try:
        return rules.violations(built)
    except EvaluationError as error:
        reason = " ".join(str(error).split())
        raise ContractError(f"a rule of {built.DESCRIPTOR.full_name} fails on its example: {reason}") from None


def _build(message: Descriptor, rules: Rules) -> tuple[Message, bool]:
    """The example, and whether every field has one."""
    built = GetMessageClass(message)()
    complete = True
    for field in message.fields:
        examples = rules.of(field).examples
        nested = field.message_type
        if nested is not None and not nested.GetOptions().map_entry:
            part, whole = _build(nested, rules)
            complete = complete and whole
            if field.is_repeated:
                getattr(built, field.name).append(part)
            else:
                getattr(built, field.name).CopyFrom(part)
        elif examples and not field.is_repeated:
            setattr(built, field.name, examples[0])
        else:
            complete = False
    return built, complete
