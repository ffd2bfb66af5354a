"""The rules of a contract, enforced by protovalidate and read for docs.

Rules are `buf.validate` options; protovalidate (https://protovalidate.com) alone decides what they mean.
"""

from dataclasses import dataclass
from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from contract.errors import ContractError
from contract.options import Options


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule."""

    field: str
    """Path of the value from the request, such as `rows[1].petal_width`; empty for a rule on the whole message."""
    rule: str
    """Identifier of the rule, such as `double.gte_lte`."""
    message: str
    """The rule in words."""


@dataclass(frozen=True, slots=True)
class FieldRules:
    """The standard rules on one field, as the contract states them."""

    required: bool
    ignored: bool
    """No rule is applied."""
    zero_ignored: bool
    """No rule is applied to zero, in a field that cannot tell it from a missing one."""
    kind: str
    """Which group of rules: "double", "string", "repeated", ...; empty where there is none."""
    values: dict[str, Any]
    """The rules that are set, by name: `{"gte": 0.0, "lte": 1.0}`. Items of a list stand under "items" as FieldRules."""
    examples: tuple[Any, ...]
    cel: tuple[str, ...]
    """What the field's own CEL rules say, in words."""


class Rules:
    """The rules of one contract.

    It holds a validator of its own: protovalidate caches by message name, so a shared one would judge the messages of a second
    contract by the rules of the first.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._validator = protovalidate.Validator()

    def violations(self, message: Message) -> list[Violation]:
        """Every rule that `message` breaks, in the order of the contract; empty when it is valid.

        Raises protovalidate's EvaluationError where a CEL rule itself fails, a defect of the contract.
        """
        return [
            Violation(_path(v.proto.field), v.proto.rule_id, v.proto.message or v.proto.rule_id)
            for v in self._validator.collect_violations(message)
        ]

    def compile(self, message: Descriptor) -> None:
        """Prepare the rules of `message`. Raises ContractError where one cannot mean anything, such as a length on a number."""
        try:
            self._validator.collect_violations(GetMessageClass(message)())
        except protovalidate.CompilationError as error:
            raise ContractError(f"a rule of {message.full_name} cannot be compiled: {_one_line(error)}") from None
        except protovalidate.EvaluationError:
            return  # A CEL rule that fails on an empty message may well hold on a real one.

    def of(self, field: FieldDescriptor) -> FieldRules:
        """The standard rules on `field`."""
        return _field_rules(self._options.get(field, "buf.validate.field"))

    def of_message(self, message: Descriptor) -> tuple[str, ...]:
        """What the message's own CEL rules say, in words."""
        return _cel_texts(self._options.get(message, "buf.validate.message"))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _path(path: Any) -> str:
    text = ""
    for element in path.elements if path else ():
        text += f".{element.field_name}" if text else element.field_name
        if element.subscript is not None:
            key = element.subscript.value
            text += f'["{key}"]' if isinstance(key, str) else f"[{key}]"
    return text


def _cel_texts(rules: Any) -> tuple[str, ...]:
    if rules is None:
        return ()
    return tuple(rule.message or rule.id for rule in rules.cel)


def _field_rules(rules: Any) -> FieldRules:
    if rules is None:
        return FieldRules(False, False, False, "", {}, (), ())
    kind = rules.WhichOneof("type") or ""
    values: dict[str, Any] = {}
    examples: tuple[Any, ...] = ()
    for field, value in getattr(rules, kind).ListFields() if kind else ():
        if field.name == "example":
            examples = tuple(value)
        elif field.name in ("items", "keys", "values"):
            values[field.name] = _field_rules(value)
        elif not field.is_extension:
            values[field.name] = tuple(value) if field.is_repeated else value
    ignore = rules.DESCRIPTOR.fields_by_name["ignore"].enum_type.values_by_number[rules.ignore].name
    always, if_zero = ignore == "IGNORE_ALWAYS", ignore == "IGNORE_IF_ZERO_VALUE"
    return FieldRules(rules.required, always, if_zero, kind, values, examples, _cel_texts(rules))
