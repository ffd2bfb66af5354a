"""What a contract allows and its author hardly means. None of it stops a start; each is said once."""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from contract.contract import Contract
from contract.fields import Kind, is_map, is_nested, kind_of, message_of
from contract.rules import NO_RULES, FieldRules, Rules

_KEEPS_OUT_NAN = {"gt", "gte", "lt", "lte", "const", "in", "finite"}
_ZEROS = {Kind.NUMBER: "0", Kind.INTEGER: "0", Kind.BOOL: "false", Kind.TEXT: "an empty text", Kind.BYTES: "no bytes"}
"""What a value that is missing is taken for. Enums have a value that says nothing."""

_KEEPS_OUT_EMPTY = {"len", "min_len", "in", "const", "pattern"}


def pitfalls(contract: Contract) -> list[str]:
    """One line for each field of the features that takes what it should not, or refuses what it should take."""
    rows = {method.features.full_name: method.features for service in contract.services for method in service.methods}
    return list(dict.fromkeys(line for row in rows.values() for line in _of_message(row, contract.rules)))


def _of_message(message: Descriptor, rules: Rules) -> Iterator[str]:
    for field in message.fields:
        if is_nested(field):
            yield from _of_message(message_of(field), rules)
        else:
            yield from _of_field(field, rules.of(field))


def _of_field(field: FieldDescriptor, rules: FieldRules) -> Iterator[str]:
    name, kind = field.full_name, kind_of(field)
    zero = _ZEROS.get(kind) if kind else None
    if zero and not field.has_presence and not field.is_repeated:
        if rules.required:
            if kind in (Kind.NUMBER, Kind.INTEGER, Kind.BOOL):
                yield f"{name} is required but not optional: a real {zero} is refused as missing; declare it `optional`"
        elif kind not in (Kind.TEXT, Kind.BYTES) or not rules.values.keys() & _KEEPS_OUT_EMPTY:
            yield f"{name} takes a missing value for {zero}; declare it `optional` and `required`"
    of_values = rules.values.get("values" if is_map(field) else "items", NO_RULES) if field.is_repeated else rules
    if kind is Kind.NUMBER and not of_values.values.keys() & _KEEPS_OUT_NAN:
        yield f"{name} takes NaN and infinities; give it bounds, or `finite`"
