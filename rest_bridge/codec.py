"""JSON documents to messages and back, compiled once from the descriptors of a contract.

Names are those of the contract, in and out. Nothing is converted: `true` and `"1"` are no numbers. `null` means absent, as in
ProtoJSON (https://protobuf.dev/programming-guides/json/).
"""

import json
import math
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from contract.errors import ContractError
from contract.rules import Rules
from contract.suggestion import did_you_mean
from rest_bridge.document import Repeated
from rest_bridge.problem import Loc, Problem, Problems

Read = Callable[[Any, Loc, Problems], Any]
"""From a JSON value to what a message's constructor takes; None, with a problem noted, where the value does not fit."""

INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
LARGEST = {FieldDescriptor.CPPTYPE_DOUBLE: 1.7976931348623157e308, FieldDescriptor.CPPTYPE_FLOAT: 3.4028234663852886e38}


class Codec:
    """Reads and writes one message type."""

    def __init__(self, message: Descriptor, rules: Rules) -> None:
        """Raises ContractError for a field that cannot travel as JSON."""
        self._class = GetMessageClass(message)
        self._read = _message_reader(message, rules)
        self._write = _message_writer(message)

    def read(self, document: Any, problems: Problems) -> Message:
        """The message that the document holds; what does not fit is noted in `problems` and left out."""
        return self._class(**(self._read(document, ("body",), problems) or {}))

    def document(self, message: Message) -> dict[str, Any]:
        """The document that a message is, zero values included."""
        return self._write(message)

    def write(self, message: Message) -> bytes:
        """The JSON text of a message, zero values included."""
        return json.dumps(self._write(message), allow_nan=False, separators=(",", ":")).encode()


def _message_reader(message: Descriptor, rules: Rules) -> Read:
    readers = {field.name: _field_reader(field, rules) for field in message.fields}

    def read(value: Any, loc: Loc, problems: Problems) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            problems.add(Problem("object_type", loc, f"must be an object, such as {message.name}", value))
            return None
        if isinstance(value, Repeated):
            for name in value.names:
                problems.add(Problem("repeated_field", (*loc, name), "occurs more than once"))
        fields = {}
        for name, part in value.items():
            reader = readers.get(name)
            if reader is None:
                hint = "" if problems.full else did_you_mean(name, readers)
                problems.add(Problem("unknown_field", (*loc, name), f"is not a field{hint}"))
            elif part is not None:
                fields[name] = reader(part, (*loc, name), problems)
        return fields

    return read


def _field_reader(field: FieldDescriptor, rules: Rules) -> Read:
    if field.message_type is None:
        if field.is_repeated:
            raise ContractError(f"{field.full_name} repeats a scalar: the REST bridge cannot carry it")
        return _scalar_reader(field)
    if field.message_type.GetOptions().map_entry:
        raise ContractError(f"{field.full_name} is a map: the REST bridge cannot carry it")
    single = _message_reader(field.message_type, rules)
    return _list_reader(single, rules.of(field).values.get("max_items")) if field.is_repeated else single


def _list_reader(single: Read, most: int | None) -> Read:
    def read(value: Any, loc: Loc, problems: Problems) -> list[Any] | None:
        if not isinstance(value, list):
            problems.add(Problem("list_type", loc, "must be a list", value))
            return None
        if most is not None and len(value) > most:
            return [{}] * (most + 1)  # The rule refuses it, whatever the items are.
        items = []
        for index, item in enumerate(value):
            items.append(_item(single, item, (*loc, index), problems))
            if problems.full:
                problems.unjudged_rows = len(value) - index - 1
                break
        return items

    return read


def _item(single: Read, value: Any, loc: Loc, problems: Problems) -> Any:
    """An item that does not fit becomes an empty one, so that the places of the others stay right."""
    read = None
    if value is None:
        problems.add(Problem("null_item", loc, "must not be null"))
    else:
        read = single(value, loc, problems)
    return {} if read is None else read


def _scalar_reader(field: FieldDescriptor) -> Read:
    if field.cpp_type in LARGEST:
        return _float_reader(LARGEST[field.cpp_type])
    if field.cpp_type in INTEGERS:
        return _integer_reader(*INTEGERS[field.cpp_type])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _read_bool
    raise ContractError(f"{field.full_name} is neither a number, a bool nor a message: the REST bridge cannot carry it")


def _float_reader(largest: float) -> Read:
    def read(value: Any, loc: Loc, problems: Problems) -> float | None:
        if type(value) is not float and type(value) is not int:  # bool is an int to isinstance
            problems.add(Problem("float_type", loc, "must be a number", value))
            return None
        if not -largest <= value <= largest:
            problems.add(Problem("finite_number", loc, f"must be finite and at most {largest:g}"))
            return None
        return float(value)

    return read


def _integer_reader(least: int, most: int) -> Read:
    def read(value: Any, loc: Loc, problems: Problems) -> int | None:
        if type(value) is float and math.isfinite(value) and value.is_integer():
            value = int(value)  # JSON does not tell 1.0 from 1
        if type(value) is not int:
            problems.add(Problem("int_type", loc, "must be a whole number", value))
            return None
        if not least <= value <= most:
            problems.add(Problem("int_range", loc, f"must be from {least} to {most}", value))
            return None
        return value

    return read


def _read_bool(value: Any, loc: Loc, problems: Problems) -> bool | None:
    if type(value) is not bool:
        problems.add(Problem("bool_type", loc, "must be true or false", value))
        return None
    return value


def _message_writer(message: Descriptor) -> Callable[[Any], dict[str, Any]]:
    parts = [(field.name, _field_writer(field), field.has_presence) for field in message.fields]

    def write(value: Any) -> dict[str, Any]:
        return {name: part(getattr(value, name)) for name, part, optional in parts if not optional or value.HasField(name)}

    return write


def _field_writer(field: FieldDescriptor) -> Callable[[Any], Any]:
    single: Callable[[Any], Any] = _message_writer(field.message_type) if field.message_type else _same
    if field.is_repeated:
        return lambda values: [single(value) for value in values]
    return single


def _same(value: Any) -> Any:
    return value
