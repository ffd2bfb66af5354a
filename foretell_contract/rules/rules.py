"""The rules of a contract, enforced by protovalidate and read for docs.

Rules are `buf.validate` options; protovalidate (https://protovalidate.com) alone decides what they mean.
"""

from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.custom_options import CustomOptions
from foretell_contract.errors import ContractError
from foretell_contract.rules.rule_engine import CompilationError, EvaluationError, Validator, check_rule_engine
from foretell_contract.rules.rule_engine import Violation as EngineViolation


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
class ValidationResult:
    """What a request breaks."""

    violations: tuple[Violation, ...] = ()
    unjudged_rows: int = 0
    """Rows that were not looked at any more."""
    list_refused: bool = False
    """Whether the request is refused whatever is in its rows: they were not looked at, and need not be."""


VALID = ValidationResult()


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


NO_RULES = FieldRules(False, False, False, "", {}, (), ())
"""Where nothing is stated."""


class Rules:
    """The rules of one contract.

    It holds a validator of its own: protovalidate caches by message name, so a shared one would judge the messages of a second
    contract by the rules of the first.
    """

    def __init__(self, options: CustomOptions) -> None:
        self._options = options
        check_rule_engine()
        self._validator = Validator()
        self._fields: dict[str, FieldRules] = {}

    def violations(self, message: Message) -> list[Violation]:
        """Every rule that `message` breaks, in the order of the contract; empty when it is valid.

        Raises protovalidate's EvaluationError where a CEL rule itself fails, a defect of the contract.
        """
        return [_violation(found) for found in self._validator.collect_violations(message)]

    def validate(self, message: Message, rows: FieldDescriptor | None, most: int) -> ValidationResult:
        """The rules that a request breaks; `rows` is the list of a batch.

        A batch is looked at row by row until `most` violations are found, because each costs microseconds and a hostile one holds
        millions; a list that is itself too long or too short is not looked into. Raises EvaluationError as `violations` does.
        """
        first = self._validator.collect_violations(message, fail_fast=True)
        if not first:
            return VALID
        if rows is None:
            return ValidationResult(tuple(self.violations(message)))
        if not _in_an_item(first[0]):
            return ValidationResult((_violation(first[0]),), list_refused=True)
        found: list[Violation] = []
        items = getattr(message, rows.name)
        for index, row in enumerate(items):
            found += (_within(rows.name, index, violation) for violation in self.violations(row))
            if len(found) >= most:
                return ValidationResult(tuple(found), len(items) - index - 1)
        return ValidationResult(tuple(found) or tuple(self.violations(message)))

    def compile(self, message: Descriptor) -> bool:
        """Prepare the rules of `message`; False where a CEL rule that fails on an empty one keeps others from being looked at.

        Raises ContractError for the first that cannot mean anything, such as a length on a number.
        """
        try:
            self._validator.collect_violations(GetMessageClass(message)())
        except CompilationError as error:
            raise ContractError(_one_line(error)) from None
        except EvaluationError:
            return False  # It may well hold on a real one.
        return True

    def of(self, field: FieldDescriptor) -> FieldRules:
        """The standard rules on `field`."""
        name = field.full_name
        if name not in self._fields:
            self._fields[name] = _field_rules(self._options.get(field, "buf.validate.field"))
        return self._fields[name]

    def declared(self, kind: Literal["message", "oneof", "field"], descriptor: Any) -> Any:
        """Everything that `buf.validate` is told on a message, oneof or field, as its own message; None for nothing."""
        return self._options.get(descriptor, f"buf.validate.{kind}")

    def cel_messages(self, message: Descriptor) -> tuple[str, ...]:
        """What the message's own CEL rules say, in words."""
        return _cel_texts(self._options.get(message, "buf.validate.message"))


def _violation(found: EngineViolation) -> Violation:
    return Violation(_path(found.proto.field), found.proto.rule_id, found.proto.message or found.proto.rule_id)


def _in_an_item(found: EngineViolation) -> bool:
    path = found.proto.field
    return path is not None and any(element.subscript is not None for element in path.elements)


def _within(rows: str, index: int, violation: Violation) -> Violation:
    place = f"{rows}[{index}]"
    return Violation(f"{place}.{violation.field}" if violation.field else place, violation.rule, violation.message)


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
        return NO_RULES
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
