"""JSON documents to messages and back, by readers and writers that are compiled once from the descriptors.

Both directions use the contract's field names. `null` means absent, as in ProtoJSON
(https://protobuf.dev/programming-guides/json/). `scalars` has the forms of single values.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.custom_options import CustomOptions
from foretell_contract.fields import Kind, is_map, is_nested, is_wrapper, key_text, kind_of, map_entry, message_of
from foretell_contract.rules.rules import Rules
from foretell_contract.source.spelling import did_you_mean
from rest_bridge.json.request_problems import Loc, RequestProblem, RequestProblems
from rest_bridge.json.scalars import INTEGERS, Form, Read, Write, is_decimal, reader, writer

COLUMNS = "columns"
"""The only field of a batch in columns: an object with a list for each field of a row."""

_ZEROS: dict[Kind | None, Any] = {Kind.NUMBER: 0.0, Kind.INTEGER: 0, Kind.BOOL: False, Kind.TEXT: "", Kind.ENUM: 0, Kind.BYTES: b""}
"""Placeholders for unreadable items of a list, which keep the indices of the others; {} for a message."""


class RepeatedNames(dict[str, Any]):
    """An object with names that occur more than once."""

    names: tuple[str, ...] = ()


class Codec:
    """Reads and writes one message type. Thread-safe."""

    def __init__(self, message: Descriptor, rules: Rules) -> None:
        """Raises ContractError for a field that cannot travel as JSON."""
        self._class = GetMessageClass(message)
        self._read = _message_reader(message, rules)
        self._write = _message_writer(message, Form.RESPONSE)

    def read(self, document: Any, problems: RequestProblems) -> Message:
        """The message of a document. Parts that do not fit are added to `problems` and left out."""
        return self._class(**(self._read(document, ("body",), problems) or {}))

    def write(self, message: Message, columns: FieldDescriptor | None = None) -> bytes:
        """The JSON text of a message, zero values included; with the field of its rows, in columns."""
        document = self._write(message)
        document = document if columns is None else in_columns(columns, document)
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def document_of(message: Message, form: Form) -> dict[str, Any]:
    """The document of a message in any form, zero values included."""
    return _message_writer(message.DESCRIPTOR, form)(message)  # type: ignore[arg-type]  # the stub widens DESCRIPTOR


def in_columns(rows: FieldDescriptor, document: dict[str, Any]) -> dict[str, Any]:
    """The document of a batch in columns, null where a row has no value."""
    return {COLUMNS: {field.name: [row.get(field.name) for row in document[rows.name]] for field in message_of(rows).fields}}


def request_example(message: Message) -> dict[str, Any]:
    """The message as people write a request."""
    return document_of(message, Form.REQUEST)


def _message_reader(message: Descriptor, rules: Rules) -> Read:
    readers = {field.name: _field_reader(field, rules) for field in message.fields}
    groups = {field.name: group.name for group in message.oneofs if len(group.fields) > 1 for field in group.fields}
    return object_reader(message.name, readers, groups)


def object_reader(name: str, readers: Mapping[str, Read], groups: dict[str, str] | None = None) -> Read:
    """Reads an object of these fields as a dictionary without the absent ones; `groups` has the oneof of a field."""

    def read(value: Any, loc: Loc, problems: RequestProblems) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            problems.add(RequestProblem("object_type", loc, f"must be an object, such as {name}", value))
            return None
        _add_repeated_names(value, loc, problems)
        fields = {}
        for key, part in value.items():
            single = readers.get(key)
            if single is None:
                hint = "" if problems.full else did_you_mean(key, readers)
                problems.add(RequestProblem("unknown_field", (*loc, key), f"is not a field{hint}"))
            elif part is not None:
                fields[key] = single(part, (*loc, key), problems)
        if groups:
            _drop_rivals(groups, fields, loc, problems)
        return fields

    return read


def _add_repeated_names(value: Any, loc: Loc, problems: RequestProblems) -> None:
    if isinstance(value, RepeatedNames):
        for name in value.names:
            problems.add(RequestProblem("repeated_field", (*loc, name), "occurs more than once"))


def _drop_rivals(groups: dict[str, str], fields: dict[str, Any], loc: Loc, problems: RequestProblems) -> None:
    """Drop all but the first field of each oneof, with a problem for each dropped field."""
    first: dict[str, str] = {}
    for name in [name for name in fields if name in groups]:
        rival = first.setdefault(groups[name], name)
        if rival != name:
            problems.add(RequestProblem("oneof_fields", (*loc, name), f"must not be given together with {rival}"))
            del fields[name]


def _field_reader(field: FieldDescriptor, rules: Rules) -> Read:
    limits = rules.of(field).values
    if is_map(field):
        key, value = map_entry(field)
        single = _single_reader(value, rules)
        return _map_reader(_key_reader(key, rules.options), single, _zero(value), limits.get("max_pairs"))
    if field.is_repeated:
        return _list_reader(_single_reader(field, rules), _zero(field), limits.get("max_items"), rows=is_nested(field))
    return _single_reader(field, rules)


def _single_reader(field: FieldDescriptor, rules: Rules) -> Read:
    if is_nested(field) and not message_of(field).full_name.startswith("google.protobuf."):
        return _message_reader(message_of(field), rules)
    single = reader(field, rules.options)
    if not is_wrapper(field):
        return single

    def wrapped(value: Any, loc: Loc, problems: RequestProblems) -> dict[str, Any] | None:
        inner = single(value, loc, problems)
        return None if inner is None else {"value": inner}

    return wrapped


def _zero(field: FieldDescriptor) -> Any:
    return {} if field.message_type is not None else _ZEROS[kind_of(field)]


def _list_reader(single: Read, zero: Any, max_count: int | None, *, rows: bool) -> Read:
    def read(value: Any, loc: Loc, problems: RequestProblems) -> list[Any] | None:
        if not isinstance(value, list):
            problems.add(RequestProblem("list_type", loc, "must be a list", value))
            return None
        if max_count is not None and len(value) > max_count:
            if rows:
                return [zero] * (max_count + 1)  # The rule on the count refuses it, so the rows are not read.
            value = value[: max_count + 1]
        items = []
        for index, item in enumerate(value):
            items.append(_item(single, item, zero, (*loc, index), problems))
            if problems.full:
                problems.unjudged_rows = len(value) - index - 1
                break
        return items

    return read


def _map_reader(read_key: Read, single: Read, zero: Any, max_count: int | None) -> Read:
    def read(value: Any, loc: Loc, problems: RequestProblems) -> dict[Any, Any] | None:
        if not isinstance(value, dict):
            problems.add(RequestProblem("object_type", loc, "must be an object of names and values", value))
            return None
        _add_repeated_names(value, loc, problems)
        pairs = {}
        for name, part in value.items():
            key = read_key(name, (*loc, name), problems)
            item = _item(single, part, zero, (*loc, name), problems)
            if key is not None:
                pairs[key] = item
            if problems.full or (max_count is not None and len(pairs) > max_count):
                break  # The rule on the count refuses it.
        return pairs

    return read


def _key_reader(key: FieldDescriptor, options: CustomOptions) -> Read:
    kind = kind_of(key)
    if kind is Kind.TEXT:
        return reader(key, options)
    least, most = INTEGERS.get(key.cpp_type, (0, 0))
    form = "true or false" if kind is Kind.BOOL else "a whole number"

    def read(name: Any, loc: Loc, problems: RequestProblems) -> Any:
        if kind is Kind.BOOL and name in ("false", "true"):
            return name == "true"
        if kind is Kind.INTEGER and is_decimal(name) and least <= int(name) <= most:
            return int(name)
        problems.add(RequestProblem("map_key", loc, f"the key must be {form}"))
        return None

    return read


def _item(single: Read, value: Any, zero: Any, loc: Loc, problems: RequestProblems) -> Any:
    """The item, or `zero` in place of one that does not fit, which keeps the indices of the others."""
    read = None
    if value is None:
        problems.add(RequestProblem("null_item", loc, "must not be null"))
    else:
        read = single(value, loc, problems)
    return zero if read is None else read


def _message_writer(message: Descriptor, form: Form) -> Callable[[Any], dict[str, Any]]:
    parts = [(field.name, _field_writer(field, form), field.has_presence) for field in message.fields]

    def write(value: Any) -> dict[str, Any]:
        document = {}
        for name, part, optional in parts:
            if not optional or value.HasField(name):
                document[name] = part(getattr(value, name))
            elif form is Form.PAGE:
                document[name] = None
        return document

    return write


def _field_writer(field: FieldDescriptor, form: Form) -> Write:
    if is_map(field):
        single = _single_writer(map_entry(field)[1], form)
        return lambda pairs: {key_text(key): single(pairs[key]) for key in sorted(pairs)}
    single = _single_writer(field, form)
    if field.is_repeated:
        return lambda values: [single(value) for value in values]
    return single


def _single_writer(field: FieldDescriptor, form: Form) -> Write:
    if is_nested(field):
        return _message_writer(message_of(field), form)
    plain = writer(field, form)
    if is_wrapper(field):
        return lambda wrapper: plain(wrapper.value)
    return plain
