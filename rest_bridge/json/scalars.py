"""Readers and writers of single values, by the kind of their field: JSON to constructor arguments of a message, and back.

Types are strict: `true` and `"1"` are no numbers. Types that JSON lacks have ProtoJSON's form: 64-bit integers are strings, because
many parsers round numbers to doubles (numbers are accepted too), bytes are base64, times RFC 3339, durations `1.5s`, enums their
names (their labels and numbers are accepted too).
"""

import base64
import math
import re
from collections.abc import Callable
from enum import Enum
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from foretell_contract.custom_options import CustomOptions
from foretell_contract.errors import DeclarationError
from foretell_contract.fields import Kind, enum_of, kind_of, message_of, value_field
from foretell_contract.labels import did_you_mean_value, request_texts
from foretell_contract.problem import error
from rest_bridge.json.request_problems import Loc, RequestProblem, RequestProblems

Read = Callable[[Any, Loc, RequestProblems], Any]
"""JSON value to constructor argument; None, and a problem added, if the value does not fit."""

Write = Callable[[Any], Any]


class Form(Enum):
    """The body that a schema describes; each has its own JSON for 64-bit integers and absent fields."""

    REQUEST = "an absent field is missing or null; a 64-bit integer is a number or a text"
    RESPONSE = "an absent field is missing; a 64-bit integer is a text"
    PAGE = "an absent field is null; a 64-bit integer is a number"


INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
LONG = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
"""Integers that a JSON parser with doubles only would round."""

LARGEST = {FieldDescriptor.CPPTYPE_DOUBLE: 1.7976931348623157e308, FieldDescriptor.CPPTYPE_FLOAT: 3.4028234663852886e38}

DECIMAL = r"0|-?[1-9][0-9]*"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"

_DECIMAL = re.compile(DECIMAL)
_TIME = re.compile(TIME)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_DURATION = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?s")
_MAX_DIGITS = 20
"""Characters of the longest 64-bit integer."""


def reader(field: FieldDescriptor, options: CustomOptions) -> Read:
    """Reads a single value of the field, or one of its list or map. Raises DeclarationError for a type that JSON cannot carry."""
    inner = value_field(field)
    kind = kind_of(field)
    if kind is Kind.NUMBER:
        return _float_reader(LARGEST[inner.cpp_type])
    if kind is Kind.INTEGER:
        return _integer_reader(*INTEGERS[inner.cpp_type], texts=inner.cpp_type in LONG)
    if kind is Kind.ENUM:
        return _enum_reader(enum_of(inner), options)
    if kind in _READERS:
        return _READERS[kind]
    reason = f"{field.full_name} is a {message_of(inner).full_name}, which the REST bridge cannot carry"
    raise DeclarationError(error(field.full_name, reason, "declare it as another type"))


def writer(field: FieldDescriptor, form: Form) -> Write:
    """The writer of such a value: from the attribute of a message to JSON."""
    inner = value_field(field)
    kind = kind_of(field)
    if kind is Kind.INTEGER and inner.cpp_type in LONG and form is Form.RESPONSE:
        return str
    if kind is Kind.ENUM:
        names = {number: str(value.name) for number, value in enum_of(inner).values_by_number.items()}
        return lambda number: names.get(number, number)
    if kind is Kind.BYTES:
        return lambda data: base64.b64encode(data).decode()
    if kind in (Kind.TIME, Kind.DURATION):
        return lambda time: str(time.ToJsonString())
    return lambda value: value


def is_decimal(text: str) -> bool:
    """Whether the text is a whole number in canonical form, no longer than the longest 64-bit integer."""
    return len(text) <= _MAX_DIGITS and _DECIMAL.fullmatch(text) is not None


def _float_reader(largest: float) -> Read:
    def read(value: Any, loc: Loc, problems: RequestProblems) -> float | None:
        if type(value) is not float and type(value) is not int:  # bool is an int to isinstance
            problems.add(RequestProblem("float_type", loc, "must be a number", value))
            return None
        if not -largest <= value <= largest:
            problems.add(RequestProblem("finite_number", loc, f"must be finite and at most {largest:g}"))
            return None
        return float(value)

    return read


def _integer_reader(least: int, most: int, *, texts: bool) -> Read:
    msg = "must be a whole number" + (", as a number or a string" if texts else "")

    def read(value: Any, loc: Loc, problems: RequestProblems) -> int | None:
        given = value
        if texts and type(value) is str and is_decimal(value):
            value = int(value)
        if type(value) is float and math.isfinite(value) and value.is_integer():
            value = int(value)  # JSON does not tell 1.0 from 1
        if type(value) is not int:
            problems.add(RequestProblem("int_type", loc, msg, given))
            return None
        if not least <= value <= most:
            problems.add(RequestProblem("int_range", loc, f"must be from {least} to {most}", given))
            return None
        return value

    return read


def _enum_reader(enum: EnumDescriptor, options: CustomOptions) -> Read:
    texts = request_texts(enum, options)
    labels = {number: text for text, number in texts.items() if text not in enum.values_by_name}
    named = [f"{value.name} ({labels[value.number]})" if value.number in labels else str(value.name) for value in enum.values]
    shown = ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
    least, most = INTEGERS[FieldDescriptor.CPPTYPE_INT32]

    def read(value: Any, loc: Loc, problems: RequestProblems) -> int | None:
        if type(value) is str and value in texts:
            return texts[value]
        if type(value) is float and math.isfinite(value) and value.is_integer():
            value = int(value)
        known = type(value) is int and least <= value <= most and (not enum.is_closed or value in enum.values_by_number)
        if known and texts.get(str(value), value) == value:
            return int(value)
        hint = did_you_mean_value(value, enum.values) if type(value) is str and not problems.full else ""
        msg = f"must be the name, label or number of one of {shown}{hint}"
        if known:
            msg = f'must be a text, because "{value}" is the label of {enum.values_by_number[texts[str(value)]].name}'
        problems.add(RequestProblem("enum_value", loc, msg, value))
        return None

    return read


def _read_text(value: Any, loc: Loc, problems: RequestProblems) -> str | None:
    if type(value) is not str:
        problems.add(RequestProblem("string_type", loc, "must be a string", value))
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        problems.add(RequestProblem("string_unicode", loc, "contains an unpaired surrogate"))
        return None
    return value


def _bytes(value: Any) -> bytes | None:
    return base64.b64decode(value) if type(value) is str and _BASE64.fullmatch(value) else None


def _parsed(into: Any, form: re.Pattern[str], value: Any) -> dict[str, int] | None:
    if type(value) is not str or not form.fullmatch(value):
        return None
    try:
        into.FromJsonString(value)
    except (ValueError, OverflowError):  # Such as the 30th of February.
        return None
    return {"seconds": into.seconds, "nanos": into.nanos}


def _reader(parse: Callable[[Any], Any], kind: str, msg: str) -> Read:
    """Adds a problem of this kind for a value that `parse` returns None for."""

    def read(value: Any, loc: Loc, problems: RequestProblems) -> Any:
        parsed = parse(value)
        if parsed is None:
            problems.add(RequestProblem(kind, loc, msg, value))
        return parsed

    return read


_READERS: dict[Kind | None, Read] = {
    Kind.BOOL: _reader(lambda value: value if type(value) is bool else None, "bool_type", "must be true or false"),
    Kind.TEXT: _read_text,
    Kind.BYTES: _reader(_bytes, "bytes_base64", "must be base64 with its padding, as in RFC 4648"),
    Kind.TIME: _reader(
        lambda value: _parsed(Timestamp(), _TIME, value),
        "timestamp_format",
        "must be a time by RFC 3339 such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00+02:00, with an offset of at most 23:59",
    ),
    Kind.DURATION: _reader(
        lambda value: _parsed(Duration(), _DURATION, value), "duration_format", "must be a number of seconds such as 1.5s"
    ),
}
