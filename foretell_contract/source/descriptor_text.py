"""Writes the text of a compiled `.proto` file, with its comments and options, but without extensions and public imports."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, Edition, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message

from foretell_contract.fields import TYPE_NAMES
from foretell_contract.source.proto_text import Block, Line, Literal, Option, file_text, number_text, quoted
from foretell_contract.source.source_info import comments, type_names

_Member = Line | Block | Literal
_MOST = {"DescriptorProto": 2**29 - 1, "EnumDescriptorProto": 2**31 - 1}
"""The largest number of a field and of an enum value."""


def descriptor_text(file: FileDescriptorProto) -> str:
    """The text of a file that defines no extensions; compiled again, it gives the same descriptor."""
    syntax = f'syntax = "{file.syntax or "proto2"}";'
    if file.syntax == "editions":
        syntax = f'edition = "{Edition.Name(file.edition).removeprefix("EDITION_")}";'
    comment = comments(file).get(file.name, "")
    return file_text(comment, file.package, file.dependency, _Members(file).all(), syntax, sorted(_options(file.options)))


class _Members:
    """The declarations of one file. `name` and `around` are full names with a dot at the start, as in descriptors."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._prefix = f".{file.package}." if file.package else "."
        self._comments = {f".{name}": text for name, text in comments(file).items()}
        types = [f".{name}".removeprefix(self._prefix).split(".") for name in type_names(file)]
        self._nested = {part for parts in types for part in parts[1:]}
        self._near = {part for parts in types for part in parts} | set(file.package.split("."))

    def all(self) -> Iterator[Block]:
        """Services, enums and messages."""
        for service in self._file.service:
            name = self._prefix + service.name
            yield self._block(name, f"service {service.name}", service, [self._method(name, each) for each in service.method])
        yield from (self._enum(self._prefix, each) for each in self._file.enum_type)
        yield from (self._message(self._prefix, f"message {each.name}", each) for each in self._file.message_type)

    def _method(self, service: str, method: Any) -> _Member:
        sides = ((method.client_streaming, method.input_type), (method.server_streaming, method.output_type))
        request, response = (f"({'stream ' * streams}{self._type(kind)})" for streams, kind in sides)
        block = self._block(f"{service}.{method.name}", f"rpc {method.name}{request} returns {response}", method, [], packed=True)
        return block if block.members else Line(block.comment, block.head)

    def _enum(self, around: str, enum: Any) -> Block:
        name = around + enum.name
        values = [self._line(f"{name}.{each.name}", f"{each.name} = {each.number}", each) for each in enum.value]
        return self._block(name, f"enum {enum.name}", enum, [*values, *self._reserved(enum, 0)], packed=True)

    def _message(self, around: str, head: str, message: DescriptorProto) -> Block:
        name = f"{around}{message.name}"
        nested = {f"{name}.{each.name}": each for each in message.nested_type}
        inline = {each.type_name for each in message.field if each.type == each.TYPE_GROUP}
        inline |= {key for key, each in nested.items() if each.options.map_entry}
        members = [
            *(self._enum(f"{name}.", each) for each in message.enum_type),
            *(self._message(f"{name}.", f"message {each.name}", each) for key, each in nested.items() if key not in inline),
            *self._fields(f"{name}.", message, nested),
            *self._reserved(message, 1),
        ]
        return self._block(name, head, message, members)

    def _fields(self, around: str, message: DescriptorProto, nested: dict[str, DescriptorProto]) -> Iterator[_Member]:
        def group_of(field: FieldDescriptorProto) -> int:
            return field.oneof_index if field.HasField("oneof_index") and not field.proto3_optional else -1

        for index, fields in groupby(message.field, group_of):
            lines = [self._field(around, each, nested.get(each.type_name), in_oneof=index >= 0) for each in fields]
            group = message.oneof_decl[max(index, 0)] if index >= 0 else None
            yield from (
                lines if group is None else [self._block(around + group.name, f"oneof {group.name}", group, lines, packed=True)]
            )

    def _field(self, around: str, field: FieldDescriptorProto, nested: DescriptorProto | None, *, in_oneof: bool) -> _Member:
        label = f"{field.Label.Name(field.label).removeprefix('LABEL_').lower()} "
        implied = label == "optional " and self._file.syntax in ("proto3", "editions") and not field.proto3_optional
        kind = self._type(field.type_name) or TYPE_NAMES[field.type]
        if nested is not None and field.type == field.TYPE_GROUP:
            return self._message(around, f"{label}group {nested.name} = {field.number}", nested)
        if nested is not None and nested.options.map_entry:
            implied, kinds = True, [self._type(each.type_name) or TYPE_NAMES[each.type] for each in nested.field]
            kind = f"map<{', '.join(kinds)}>"
        more = [] if field.json_name in ("", _json_name(field.name)) else [("json_name", quoted(field.json_name))]
        if field.HasField("default_value"):
            plain = {field.TYPE_STRING: quoted(field.default_value), field.TYPE_BYTES: f'"{field.default_value}"'}
            more.append(("default", plain.get(field.type, field.default_value)))
        declared = f"{'' if in_oneof or implied else label}{kind} {field.name} = {field.number}"
        return self._line(around + field.name, declared, field, more)

    def _reserved(self, holder: Any, past: int) -> Iterator[Line]:
        """The `reserved` lines of a message or enum; the ends of ranges lie `past` the last number."""
        most = _MOST[holder.DESCRIPTOR.name]
        ranges = [(each.start, each.end - past) for each in holder.reserved_range]
        texts = [str(low) if low == high else f"{low} to {'max' if high == most else high}" for low, high in ranges]
        names = holder.reserved_name if self._file.syntax == "editions" else map(quoted, holder.reserved_name)
        yield from (Line("", f"reserved {', '.join(each)}") for each in (texts, [*names]) if each)

    def _line(self, name: str, declared: str, holder: Any, more: Sequence[Option] = ()) -> Line:
        return Line(self._comments.get(name, ""), declared, (*_options(holder.options), *more))

    def _block(self, name: str, head: str, holder: Any, members: Sequence[_Member], *, packed: bool = False) -> Block:
        options = [Line("", f"option {option} = {value}") for option, value in _options(holder.options)]
        return Block(self._comments.get(name, ""), head, [*options, *members], packed)

    def _type(self, name: str) -> str:
        """A type without the package or the first dot, if protoc then finds this type and no nearer one."""
        short = name.removeprefix(self._prefix)
        hiding = self._nested if short != name else self._near
        short = short.removeprefix(".")
        return name if short.partition(".")[0] in hiding else short


def _options(options: Message, prefix: str = "") -> Iterator[Option]:
    """The options that are set, but for `map_entry`, which the syntax implies."""
    for field, value in options.ListFields():
        for each in value if field.is_repeated else (value,):
            if field.message_type is not None:
                yield from _options(each, f"{prefix}{field.name}.")
            elif field.enum_type is not None:
                yield prefix + field.name, field.enum_type.values_by_number[each].name
            else:
                yield prefix + field.name, quoted(each) if isinstance(each, str) else number_text(each)


def _json_name(name: str) -> str:
    """The JSON name that protoc gives a field."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)
