"""What a contract allows and its author hardly means. None of it stops a start; each is said once."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from foretell_contract.contract import Contract
from foretell_contract.fields import Kind, is_map, is_nested, kind_of, message_of
from foretell_contract.problem import Problem, error, warning
from foretell_contract.rules.rules import NO_RULES, FieldRules

_KEEPS_OUT_NAN = {"gt", "gte", "lt", "lte", "const", "in", "finite"}
_ZEROS = {Kind.NUMBER: "0", Kind.INTEGER: "0", Kind.BOOL: "false", Kind.TEXT: "an empty text", Kind.BYTES: "no bytes"}
"""What a value that is missing is taken for. Enums have a value that says nothing."""

_KEEPS_OUT_EMPTY = {"len", "min_len", "in", "const", "pattern"}
_FOREIGN = ("google.", "buf.")


def pitfalls(contract: Contract) -> list[Problem]:
    """What takes what it should not, refuses what it should take, or speaks to callers in CEL."""
    rows = _rows(contract)
    found = [problem for row in rows.values() for field in row.fields for problem in _of_field(field, contract.rules.of(field))]
    return found + [problem for message in _messages(contract).values() for problem in _wordless(message, contract)]


def missing_docs(contract: Contract) -> list[Problem]:
    """What callers will look for in the docs in vain: comments and examples."""
    found = [_uncommented(name) for name in _documented(contract) if not contract.comment(name)]
    for row in _rows(contract).values():
        found += [_exampleless(field) for field in row.fields if _wants_example(field, contract.rules.of(field))]
    return found


def _rows(contract: Contract) -> dict[str, Descriptor]:
    """The messages of features, and those within them."""
    found: dict[str, Descriptor] = {}
    left = [method.features for service in contract.services for method in service.methods]
    while left:
        row = left.pop()
        if row.full_name not in found:
            found[row.full_name] = row
            left += [message_of(field) for field in row.fields if is_nested(field)]
    return found


def _of_field(field: FieldDescriptor, rules: FieldRules) -> Iterator[Problem]:
    name, kind = field.full_name, kind_of(field)
    zero = _ZEROS.get(kind) if kind else None
    if zero and not field.has_presence and not field.is_repeated:
        if rules.required:
            if kind in (Kind.NUMBER, Kind.INTEGER, Kind.BOOL):
                yield error(
                    name, f"{name} is required but not optional: a real {zero} is refused as missing", "declare it `optional`"
                )
        elif kind not in (Kind.TEXT, Kind.BYTES) or not rules.values.keys() & _KEEPS_OUT_EMPTY:
            yield warning(name, f"{name} takes a missing value for {zero}", "declare it `optional` and `required`")
    of_values = rules.values.get("values" if is_map(field) else "items", NO_RULES) if field.is_repeated else rules
    if kind is Kind.NUMBER and not of_values.values.keys() & _KEEPS_OUT_NAN:
        yield warning(name, f"{name} takes NaN and infinities", "give it bounds, or `finite`")


def _wordless(message: Descriptor, contract: Contract) -> Iterator[Problem]:
    """A CEL rule without words shows callers its expression, and one without an id cannot be told from another."""
    stated = [(message.full_name, contract.rules.declared("message", message))]
    stated += [(field.full_name, contract.rules.declared("field", field)) for field in message.fields]
    for name, rules in stated:
        for rule in rules.cel if rules is not None else ():
            for part in ("id", "message"):
                if not getattr(rule, part):
                    yield error(
                        name, f"a CEL rule of {name} has no {part}: `{rule.expression}`", f"give it one; callers see the {part}"
                    )
        for expression in rules.cel_expression if rules is not None else ():
            yield error(name, f"a CEL rule of {name} has no id and no message: `{expression}`", "write it as `cel`, with both")


def _uncommented(name: str) -> Problem:
    return warning(name, f"{name} has no comment", "say above it what it is, in which unit")


def _exampleless(field: FieldDescriptor) -> Problem:
    return warning(field.full_name, f"{field.full_name} has no example", "give it one, for the docs to show a call that works")


def _wants_example(field: FieldDescriptor, rules: FieldRules) -> bool:
    """Messages are made of their fields' examples, and there is no rule in which a list or map could have one."""
    return not rules.examples and not field.is_repeated and field.message_type is None


def _documented(contract: Contract) -> Iterator[str]:
    """Full names of all that the docs show."""
    for service in contract.services:
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    enums: dict[str, EnumDescriptor] = {}
    for message in _messages(contract).values():
        yield message.full_name
        yield from (field.full_name for field in message.fields)
        enums |= {field.enum_type.full_name: field.enum_type for field in message.fields if field.enum_type is not None}
    for name, enum in enums.items():
        yield from (name, *(f"{name}.{value.name}" for value in enum.values))


def _messages(contract: Contract) -> dict[str, Descriptor]:
    """All messages of the contract's own that callers send or get."""
    found: dict[str, Descriptor] = {}
    left: list[Any] = [
        side for service in contract.services for method in service.methods for side in (method.output, method.input)
    ]
    while left:
        message = left.pop()
        if message.full_name in found or message.full_name.startswith(_FOREIGN) or message.GetOptions().map_entry:
            continue
        found[message.full_name] = message
        left += [field.message_type for field in message.fields if field.message_type is not None]
    return found
