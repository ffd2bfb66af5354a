"""Edits of one contract file that updates of features and of responses share: rules, examples, comments, enums, reserved names."""

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto

from foretell.init.draft_features import value_line
from foretell_contract.contract import Contract
from foretell_contract.diff.diff import next_package
from foretell_contract.fields import enum_of
from foretell_contract.labels import is_unspecified, match_labels, short_name
from foretell_contract.source.edit_file import FileEdit
from foretell_contract.source.proto_text import Block, Line, comment_lines
from foretell_contract.source.spelling import Names, upper

_RULES = 1159
"""Number of the extension `buf.validate.field`."""

_LINE_LENGTH = 80
"""Longer comment lines are wrapped again."""

_RESERVED = """\
  // Reserved: the model no longer has it.
  reserved {};
  reserved "{}";
"""

Place = tuple[int, int]
"""Start and end in the file."""


class ContractEdit:
    """Pending edits of the file of a contract."""

    def __init__(self, edit: FileEdit, contract: Contract) -> None:
        self.file, self._contract = edit, contract
        self.beside = f"pass --package {next_package(edit.file.package)} for a contract beside it"
        """What the user may do about a change that the contract cannot hold."""

    def rule(self, field: FieldDescriptor, kind: str, rule: str, *more: int) -> Place | None:
        """The place of a field's rule in the file; None without it. `more` are further numbers of the option's path."""
        declared = self._contract.rules.declared("field", field)
        if declared is None or not self.file.has(field.full_name):
            return None
        group = declared.DESCRIPTOR.fields_by_name[kind]
        number = group.message_type.fields_by_name[rule].number
        within = (1,) if kind in ("timestamp", "duration") and not more else ()
        return self.file.option(field.full_name, _RULES, group.number, number, *more, *within)

    def set_rule(self, place: Place | None, value: str) -> None:
        """Replaces the value of a rule."""
        if place:
            name, _, _ = self.file.text(*place).partition("=")
            self.file.replace(*place, f"{name}= {value}")

    def set_example(self, field: FieldDescriptor, kind: str, value: str) -> None:
        """Replaces the first example of a field."""
        self.set_rule(self.rule(field, kind, "example", 0), value)

    def replace_words(self, name: str, words: dict[str, str]) -> None:
        """Replaces words in a comment, across line breaks; wraps the comment again if a line gets too long."""
        if not self.file.has(name):
            return
        start, end = self.file.comment(name)
        comment = changed = self.file.text(start, end)
        for before, now in words.items():
            pattern = r"\s+(?://\s*)?".join(map(re.escape, before.split()))
            changed = re.sub(pattern, now.replace("\\", r"\\"), changed, count=1)
        if changed != comment and max(map(len, changed.splitlines()), default=0) > _LINE_LENGTH:
            changed = _wrapped(changed)
        self.file.replace(start, end, changed)

    def reserve(self, full_name: str, number: int) -> None:
        """Reserves the number and the name of a field or value in its place."""
        self.file.replace_statement(full_name, _RESERVED.format(number, full_name.rpartition(".")[2]))

    def update_enum(self, field: FieldDescriptor, labels: Sequence[str], display: dict[str, str], *, complete: bool) -> None:
        """Appends values for new labels; if `labels` are `complete`, reserves the values of all others."""
        enum = enum_of(field)
        if not self.file.has(enum.full_name):
            return
        found = match_labels(enum, labels, self._contract.options)
        zero: Any = enum.values[0]
        prefix = str(zero.name).removesuffix(f"_{short_name(zero)}")
        names = Names((*(value.name for value in enum.values), *reserved_names(enum)))
        numbers = list(found.by_number)
        for number, label in enumerate(found.without_value, next_number(enum)):
            text = display.get(label, label)
            name = names.take(f"{prefix}_{upper(text, 'value')}")
            self.file.append(enum.full_name, text_of(value_line(name, number, label, text, prefix)))
            numbers.append(number)
        lost = [value for value in found.without_label if complete and not is_unspecified(value)]
        for value in lost:
            self.reserve(f"{enum.full_name}.{value.name}", value.number)
        examples = self._contract.rules.of(field).examples
        if complete and examples and examples[0] not in numbers:
            self.set_example(field, "enum", str(numbers[0]))
        known = sum(not is_unspecified(value) for value in enum.values)
        now = known + len(found.without_value) - len(lost)
        self.replace_words(field.full_name, {f"one of {known} values": f"one of {now} values"})


def _wrapped(comment: str) -> str:
    """The comment with its paragraphs wrapped again; lists keep their lines."""
    indent = comment[: len(comment) - len(comment.lstrip())]
    text = "\n".join(line.strip().removeprefix("//").removeprefix(" ") for line in comment.splitlines())
    paragraphs = re.sub(r"(?<=\S)\n(?=[^\s\-*])", " ", text)
    return "".join(f"{line}\n" for line in comment_lines(paragraphs, indent))


def text_of(line: Line | Block) -> str:
    """The lines of a field, value, message or enum."""
    return "\n".join(line.lines()) + "\n"


def reserved_names(descriptor: Any) -> list[str]:
    """The reserved names of a message or enum."""
    return list(_proto(descriptor).reserved_name)


def next_number(descriptor: Any) -> int:
    """A number above every present and reserved one of a message or enum."""
    proto, is_enum = _proto(descriptor), isinstance(descriptor, EnumDescriptor)
    numbers: list[int] = [each.number for each in (proto.value if is_enum else proto.field)]
    numbers += [each.end - (not is_enum) for each in proto.reserved_range]  # The end is exclusive in a message only.
    return 1 + max(numbers, default=0)


def _proto(descriptor: Any) -> Any:
    proto: Any = EnumDescriptorProto() if isinstance(descriptor, EnumDescriptor) else DescriptorProto()
    descriptor.CopyToProto(proto)
    return proto
