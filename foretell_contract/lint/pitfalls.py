"""Finds declarations that can be served but rarely mean what their author intended. Each is reported once."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from foretell_contract.contract import Contract
from foretell_contract.fields import IMPORTED, Kind, is_map, kind_of, messages_within
from foretell_contract.problem import Problem, error, warning
from foretell_contract.rules.rules import NO_RULES, FieldRules

_EXCLUDES_NAN = {"gt", "gte", "lt", "lte", "const", "in", "finite"}
_ZEROS = {Kind.NUMBER: "0", Kind.INTEGER: "0", Kind.BOOL: "false", Kind.TEXT: "an empty string", Kind.BYTES: "empty bytes"}
"""The value that a missing one reads as. Enums have `..._UNSPECIFIED` for it."""

_EXCLUDES_EMPTY = {"len", "min_len", "in", "const", "pattern"}


def pitfalls(contract: Contract) -> list[Problem]:
    """Fields that accept or refuse what they should not, and CEL rules without an id or a message."""
    found = [problem for row in _rows(contract) for field in row.fields for problem in _field(field, contract.rules.of(field))]
    return found + [problem for message in _messages(contract) for problem in _incomplete_cel(message, contract)]


def missing_docs(contract: Contract) -> list[Problem]:
    """Missing comments and missing examples."""
    fix = "add one above it: what it is, and in which unit"
    found = [warning(name, f"{name} has no comment", fix) for name in _documented(contract) if not contract.comment(name)]
    fix = "add one; the docs then show a call that works"
    fields = [field.full_name for row in _rows(contract) for field in row.fields if _wants_example(field, contract)]
    return found + [warning(name, f"{name} has no example", fix) for name in fields]


def _rows(contract: Contract) -> list[Descriptor]:
    return _own_messages(method.features for service in contract.services for method in service.methods)


def _messages(contract: Contract) -> list[Descriptor]:
    methods = [method for service in contract.services for method in service.methods]
    return _own_messages(side for method in methods for side in (method.input, method.output))


def _own_messages(tops: Iterable[Descriptor]) -> list[Descriptor]:
    found = {message.full_name: message for top in tops for message in messages_within(top)}
    return [each for name, each in found.items() if not name.startswith(IMPORTED) and not each.GetOptions().map_entry]


def _field(field: FieldDescriptor, rules: FieldRules) -> Iterator[Problem]:
    name, kind = field.full_name, kind_of(field)
    zero = _ZEROS.get(kind) if kind else None
    if kind and zero and not field.has_presence and not field.is_repeated:
        yield from _without_presence(name, kind, zero, rules)
    of_values = rules.values.get("values" if is_map(field) else "items", NO_RULES) if field.is_repeated else rules
    if kind is Kind.NUMBER and not of_values.values.keys() & _EXCLUDES_NAN:
        yield warning(name, f"{name} accepts NaN and infinity", "set bounds or `finite`")


def _without_presence(name: str, kind: Kind, zero: str, rules: FieldRules) -> Iterator[Problem]:
    if not rules.required:
        if kind not in (Kind.TEXT, Kind.BYTES) or not rules.values.keys() & _EXCLUDES_EMPTY:
            yield warning(name, f"{name} reads a missing value as {zero}", "declare it `optional` and set `required`")
    elif kind in (Kind.NUMBER, Kind.INTEGER, Kind.BOOL):
        reason = f"{name} is required but not optional: a real {zero} is refused as missing"
        yield error(name, reason, "declare it `optional`")


def _incomplete_cel(message: Descriptor, contract: Contract) -> Iterator[Problem]:
    """CEL rules without a message, which show callers their expression, or without an id, which callers cannot tell apart."""
    declared = [(message.full_name, contract.rules.declared("message", message))]
    declared += [(field.full_name, contract.rules.declared("field", field)) for field in message.fields]
    for name, rules in declared:
        for rule in rules.cel if rules is not None else ():
            for part in ("id", "message"):
                if not getattr(rule, part):
                    reason = f"a CEL rule of {name} has no {part}: `{rule.expression}`"
                    yield error(name, reason, f"add one; callers see the {part}")
        for expression in rules.cel_expression if rules is not None else ():
            reason = f"a CEL rule of {name} has no id and no message: `{expression}`"
            yield error(name, reason, "write it as `cel` with an `id` and a `message`")


def _wants_example(field: FieldDescriptor, contract: Contract) -> bool:
    """Examples of messages are built from their fields, and `buf.validate` has no example rule for lists and maps."""
    return not contract.rules.of(field).examples and not field.is_repeated and field.message_type is None


def _documented(contract: Contract) -> Iterator[str]:
    for service in contract.services:
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    enums: dict[str, EnumDescriptor] = {}
    for message in _messages(contract):
        yield message.full_name
        yield from (field.full_name for field in message.fields)
        enums |= {field.enum_type.full_name: field.enum_type for field in message.fields if field.enum_type is not None}
    for name, enum in enums.items():
        yield from (name, *(f"{name}.{value.name}" for value in enum.values))
