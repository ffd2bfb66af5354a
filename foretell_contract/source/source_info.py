"""Reads the comment, file and line of each declaration from compiled `.proto` files.

A descriptor pool drops them, so they are read before files are added to one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

Path = tuple[int, ...]

# Paths in source info consist of field numbers of descriptor.proto.
_SYNTAX, _PACKAGE = (12,), (2,)
_DECLARED = {"message_type", "enum_type", "service", "method", "field", "oneof_decl", "nested_type", "value"}

_DIRECTIVE = re.compile(r"^\s*buf:lint:.*$", re.MULTILINE)
_INTERNAL = re.compile(r"\(--.*?--\)", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class SourceLocation:
    """A line of a file."""

    file: str
    """Name of the file, relative to the folder of the contracts."""
    line: int = 0
    """Counted from 1; 0 if the descriptor set has no source info."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def comments(file: FileDescriptorProto) -> dict[str, str]:
    """Comment text by full name of the declaration; the comment above `syntax` or `package` by the name of the file.

    Lint directives and `(-- internal --)` notes are removed.
    """
    named = {path: name for path, name, _ in declarations(file)} | {_PACKAGE: file.name, _SYNTAX: file.name}
    found: dict[str, str] = {}
    for location in file.source_code_info.location:
        comment = location.leading_comments or location.trailing_comments
        name = named.get(tuple(location.path)) if comment else None  # Few locations have a comment.
        text = _clean(comment) if name else ""
        if name and text:
            found.setdefault(name, text)
    return found


def source_locations(descriptor_set: bytes) -> dict[str, SourceLocation]:
    """Location by full name of a service, method, message, field, oneof, enum or value, and of each file by its name."""
    found: dict[str, SourceLocation] = {}
    for file in FileDescriptorSet.FromString(descriptor_set).file:
        lines = {tuple(location.path): location.span[0] + 1 for location in file.source_code_info.location}
        found |= {name: SourceLocation(file.name, lines.get(path, 0)) for path, name, _ in declarations(file)}
        found[file.name] = SourceLocation(file.name, 1 if lines else 0)
    return found


def _clean(text: str) -> str:
    text = _INTERNAL.sub("", _DIRECTIVE.sub("", text))
    return "\n".join(line.removeprefix(" ").rstrip() for line in text.split("\n")).strip()


def type_names(file: FileDescriptorProto) -> list[str]:
    """Full names of the messages and enums of a file."""
    return [name for _, name, declared in declarations(file) if isinstance(declared, DescriptorProto | EnumDescriptorProto)]


def declarations(file: FileDescriptorProto) -> Iterator[tuple[Path, str, Any]]:
    """Path in source info, full name and descriptor of every message, enum and service, and of what they declare."""
    return _declarations(file, (), f"{file.package}." if file.package else "")


def _declarations(holder: Any, path: Path, prefix: str) -> Iterator[tuple[Path, str, Any]]:
    for field, parts in holder.ListFields():
        for index, part in enumerate(parts if field.name in _DECLARED else ()):
            place, name = (*path, field.number, index), f"{prefix}{part.name}"
            yield place, name, part
            yield from _declarations(part, place, f"{name}.")
