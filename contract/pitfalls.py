"""What a contract allows and its author hardly means. None of it stops a start; each is said once."""

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor

from contract.contract import Contract
from contract.rules import FieldRules

_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
_KEEPS_OUT_NAN = {"gt", "gte", "lt", "lte", "const", "in", "finite"}


def pitfalls(contract: Contract) -> list[str]:
    """One line for each field of the features that takes what it should not, or refuses what it should take."""
    rows = {method.features.full_name: method.features for service in contract.services for method in service.methods}
    return [line for row in rows.values() for field in row.fields for line in _of_field(field, contract.rules.of(field))]


def _of_field(field: FieldDescriptor, rules: FieldRules) -> Iterator[str]:
    name = field.full_name
    if not field.has_presence and not field.is_repeated:
        if rules.required:
            yield f"{name} is required but not optional: a real 0 is refused as missing; declare it `optional`"
        else:
            yield f"{name} takes a missing value for 0; declare it `optional` and `required`"
    if field.cpp_type in _FLOATS and not rules.values.keys() & _KEEPS_OUT_NAN:
        yield f"{name} takes NaN and infinities; give it bounds, or `finite`"
