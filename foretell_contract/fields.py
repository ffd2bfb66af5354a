"""Classifies the fields of a message: which kind of value a field holds, and in which form."""

from collections.abc import Iterable
from enum import Enum
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor


class Kind(Enum):
    """Kind of a value; the text is for error messages."""

    NUMBER = "a number"
    INTEGER = "an integer"
    BOOL = "true or false"
    TEXT = "text"
    ENUM = "an enum"
    BYTES = "bytes"
    TIME = "a timestamp"
    DURATION = "a duration"


WRAPPERS = {
    f"google.protobuf.{name}Value" for name in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
}
"""Well-known messages with a single field `value`, which may be absent."""

TYPE_NAMES: dict[int, str] = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower() for name in dir(FieldDescriptor) if name.startswith("TYPE_")
}
"""Such as "double", by `FieldDescriptor.type`. The rules of scalar fields have these names too."""

FLOAT_TYPES = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
INTEGER_TYPES = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)

_TIMES = {"google.protobuf.Timestamp": Kind.TIME, "google.protobuf.Duration": Kind.DURATION}
_KINDS = {
    **dict.fromkeys(FLOAT_TYPES, Kind.NUMBER),
    **dict.fromkeys(INTEGER_TYPES, Kind.INTEGER),
    FieldDescriptor.CPPTYPE_BOOL: Kind.BOOL,
    FieldDescriptor.CPPTYPE_ENUM: Kind.ENUM,
}


CALENDAR = {
    Kind.TIME: (-62_135_596_800 * 10**9, 253_402_300_800 * 10**9 - 1),
    Kind.DURATION: (-315_576_000_000 * 10**9, 315_576_000_000 * 10**9),
}
"""Least and most nanoseconds of a valid Timestamp or Duration."""

IMPORTED = ("google.", "buf.")
"""Prefixes of the full names of messages and enums that are no contract's own."""


def messages_within(message: Descriptor, found: dict[str, Descriptor] | None = None) -> Iterable[Descriptor]:
    """A message and all messages in its fields, at any depth, each once."""
    found = {} if found is None else found
    if message.full_name not in found:
        found[message.full_name] = message
        for field in message.fields:
            if field.message_type is not None:
                messages_within(field.message_type, found)
    return found.values()


def kind_of(field: FieldDescriptor) -> Kind | None:
    """Kind of the field's value, or of the values in its list or map; None for a message of several values."""
    field = value_field(field)
    if field.message_type is not None:
        return _TIMES.get(field.message_type.full_name)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return Kind.BYTES if field.type == FieldDescriptor.TYPE_BYTES else Kind.TEXT
    return _KINDS.get(field.cpp_type)


def value_field(field: FieldDescriptor) -> FieldDescriptor:
    """The field that holds the value: `value` of a wrapper or of a map entry, else the field itself."""
    if is_map(field):
        return value_field(map_entry(field)[1])
    return message_of(field).fields_by_name["value"] if is_wrapper(field) else field


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_wrapper(field: FieldDescriptor) -> bool:
    """Whether the field is one of the WRAPPERS."""
    return field.message_type is not None and field.message_type.full_name in WRAPPERS


def wrapped(field: FieldDescriptor, value: Any) -> Any:
    """A single value of the field as a message's constructor takes it."""
    return {"value": value} if is_wrapper(field) else value


def is_nested(field: FieldDescriptor) -> bool:
    """Whether the field is a message of several values, or a list of such messages."""
    return field.message_type is not None and not is_map(field) and kind_of(field) is None


def key_text(key: Any) -> str:
    """The key of a map as a text: in names of columns, and in JSON."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def is_in_oneof(field: FieldDescriptor) -> bool:
    """Whether the field shares a oneof with others. The oneof that protobuf makes for an `optional` field does not count."""
    return oneof_name(field) != ""


def oneof_name(field: FieldDescriptor) -> str:
    """Name of the oneof that the field shares with others; empty if there is none."""
    oneof = field.containing_oneof
    return oneof.name if oneof is not None and len(oneof.fields) > 1 else ""


def map_entry(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor]:
    """The key field and the value field of a map."""
    fields = message_of(field).fields_by_name
    return fields["key"], fields["value"]


def message_of(field: FieldDescriptor) -> Descriptor:
    """The type of a message field."""
    return cast("Descriptor", field.message_type)


def enum_of(field: FieldDescriptor) -> EnumDescriptor:
    """The type of an enum field."""
    return cast("EnumDescriptor", field.enum_type)
