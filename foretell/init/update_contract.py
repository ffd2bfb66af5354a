"""Updates the contract of a model that was trained again.

Foretell owns the sentence "Seen in training: ...", the bounds that follow from it, and examples that the new bounds would refuse.
New columns, classes and categories are appended, and lost ones reserved. Everything else belongs to the author and stays.
"""

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto

from foretell.check.training_range import Range, range_in_comment, range_of
from foretell.init.draft_features import PackageNames, draft_feature, field_numbers, literal, value_line
from foretell.init.draft_response import ResponseDraft
from foretell_contract.contract import Contract
from foretell_contract.errors import SetupError
from foretell_contract.fields import Kind, enum_of
from foretell_contract.labels import is_unspecified, match_labels, probability_class, short_name
from foretell_contract.rows.columns import Leaf, Spread, leaves
from foretell_contract.service import Service
from foretell_contract.source.edit_file import FileEdit
from foretell_contract.source.proto_text import Block, Line, comment_lines, quoted
from foretell_contract.source.spelling import Names, snake, upper
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.checks.training_columns import Column
from grpc_server.store.training_values import seconds

_RULES = 1159
"""Number of the extension `buf.validate.field`."""

_RANGE_KINDS = {Kind.NUMBER: "double", Kind.INTEGER: "int64", Kind.TIME: "timestamp", Kind.DURATION: "duration"}

_LINE_LENGTH = 80
"""Longer comment lines are wrapped again."""

_RESERVED = """\
  // Reserved: the model no longer has it.
  reserved {};
  reserved "{}";
"""


class ContractUpdate:
    """Collects the changes of one contract file."""

    def __init__(self, edit: FileEdit, contract: Contract, service: Service, model: ModelDescription) -> None:
        self._edit, self._contract, self._model = edit, contract, model
        self._features = service.methods[0].features
        self._answer = service.methods[0].answer
        self.notes: list[str] = []
        """What the author should look at."""

    def text(self, response: ResponseDraft, class_names: dict[str, str]) -> str:
        """The updated text of the file; `response` is a draft for the new model, `class_names` as in `ResponseDraft`.

        Raises SetupError for a change that only the author can make.
        """
        self._update_features()
        if len(self._model.targets) == 1:
            self._update_label_enums(class_names)
            self._update_probabilities(response)
        else:
            self._note_missing_fields(response)
        return self._edit.result

    def _note_missing_fields(self, response: ResponseDraft) -> None:
        """With several targets, new fields are left to the author."""
        drafted = [line.name for line in response.lines]
        missing = [name for name in drafted if name not in self._answer.fields_by_name]
        if missing:
            self.notes.append(
                f"{self._answer.full_name} has no {', '.join(missing)}, which the model predicts: add the fields that callers "
                "need, or use a package of its own with --package"
            )

    def _update_features(self) -> None:
        columns = {column.name: column for column in self._model.columns}
        matched: set[str] = set()
        for leaf in leaves(self._features, self._contract.rules, self._contract.options):
            present = [name for name in leaf.columns if name in columns]
            matched.update(present)
            if len(present) == len(leaf.columns):
                if leaf.spread is Spread.ONE:
                    self._update_field(leaf, columns[leaf.columns[0]])
                    self._note_nullable(leaf, columns[leaf.columns[0]])
            elif present or leaf.parents:
                gone = next(name for name in leaf.columns if name not in columns)
                raise SetupError(
                    f"{leaf.field.full_name} fills the column {gone!r}, which the model no longer has: change it by hand"
                )
            else:
                self._reserve(leaf.field.full_name, leaf.field.number)
        self._append_columns([column for column in self._model.columns if column.name not in matched])

    def _append_columns(self, columns: Sequence[Column]) -> None:
        names = Names((*self._features.fields_by_name, *_reserved_names(self._features)))
        package = PackageNames(self._features.file.message_types_by_name, self._features.file.enum_types_by_name.values())
        for number, column in zip(field_numbers(_next_number(self._features)), columns, strict=False):
            line, enum = draft_feature(column, number, names, package)
            for kind in ("Timestamp", "Duration"):
                if line.declared.startswith(f"google.protobuf.{kind} "):
                    self._edit.require(f"google/protobuf/{kind.lower()}.proto")
            self._edit.append(self._features.full_name, "\n" + _text(line))
            if enum:
                self._edit.add("\n" + _text(enum.block))

    def _note_nullable(self, leaf: Leaf, column: Column) -> None:
        """`required` is a promise to callers, so only the author removes it."""
        if column.nullable and self._contract.rules.of(leaf.field).required:
            gaps = column.values.count(None)
            self.notes.append(
                f"{leaf.field.full_name} is required, but is missing in {gaps:,} of {len(column.values):,} rows, and the model "
                "answers such rows: remove `required` if callers may leave it out too"
            )

    def _update_field(self, leaf: Leaf, column: Column) -> None:
        kind, values = _RANGE_KINDS.get(leaf.kind), [value for value in column.values if value is not None]
        if leaf.kind is Kind.ENUM and column.dtype.is_text:
            known = column.dtype.categories
            labels = [str(value) for value in known] or sorted(set(map(str, values)))
            if labels:
                self._update_enum(leaf.field, list(dict.fromkeys(labels)), {}, complete=bool(known))
        if kind is None or not values or column.dtype.is_text:
            return
        numbers = [seconds(str(value)) if kind == "timestamp" else value for value in values]
        if kind == "int64" and any(isinstance(value, float) and not value.is_integer() for value in numbers):
            raise SetupError(
                f"{leaf.field.full_name} holds integers, but the data has fractions in {column.name!r}: "
                "use a package of its own with --package"
            )
        self._update_range(leaf, range_of(kind, numbers), column)  # type: ignore[arg-type]

    def _update_range(self, leaf: Leaf, now: Range, column: Column) -> None:
        name = leaf.field.full_name
        before = range_in_comment(now.kind, self._contract.comment(name))
        places = [self._rule(leaf.field, now.kind, rule) for rule in ("gte", "lte")]
        if before:
            self._replace_sentence(name, before, now)
        if before is None or [self._edit.text(*place) for place in places if place] != _option_texts(before):
            self._note_excluded_data(leaf, now)
            return
        for place, option in zip(places, _option_texts(now), strict=True):
            if place:
                self._edit.replace(*place, option)
        self._replace_example(leaf, now, column)

    def _replace_example(self, leaf: Leaf, now: Range, column: Column) -> None:
        low, high = now.bounds
        examples = [getattr(value, "seconds", value) for value in leaf.rules.examples[:1]]
        if examples and not low <= examples[0] <= high:
            self._set_example(leaf.field, now.kind, literal(column.example, now.kind))

    def _note_excluded_data(self, leaf: Leaf, now: Range) -> None:
        """The author's own bounds stay; a note says if they exclude training data."""
        bounds = {rule: getattr(value, "seconds", value) for rule, value in leaf.rules.values.items()}
        below = any(now.low < bounds.get(rule, now.low) for rule in ("gt", "gte"))
        above = any(now.high > bounds.get(rule, now.high) for rule in ("lt", "lte"))
        if below or above:
            self.notes.append(f"{leaf.field.full_name} has bounds of your own, which exclude training data. {now.sentence}")

    def _rule(self, field: FieldDescriptor, kind: str, rule: str, *more: int) -> tuple[int, int] | None:
        """Start and end of a field's rule in the file; None without it. `more` are further numbers of the option's path."""
        declared = self._contract.rules.declared("field", field)
        if declared is None or not self._edit.has(field.full_name):
            return None
        group = declared.DESCRIPTOR.fields_by_name[kind]
        number = group.message_type.fields_by_name[rule].number
        within = (1,) if kind in ("timestamp", "duration") and not more else ()
        return self._edit.option(field.full_name, _RULES, group.number, number, *more, *within)

    def _replace_sentence(self, name: str, before: Range, now: Range) -> None:
        """Replaces the range in a comment, across line breaks; wraps the comment again if a line gets too long."""
        start, end = self._edit.comment(name)
        comment = self._edit.text(start, end)
        words, accepted = (r"\s+(?://\s*)?".join(map(re.escape, text.split())) for text in (before.sentence, before.accepted))
        pattern = words + (rf"(?:\s+(?://\s*)?{accepted})?" if accepted else "")
        changed = re.sub(pattern, lambda _: f"{now.sentence} {now.accepted}".rstrip(), comment, count=1)
        if changed != comment and max(map(len, changed.splitlines()), default=0) > _LINE_LENGTH:
            changed = _wrapped(changed)
        self._edit.replace(start, end, changed)

    def _reserve(self, full_name: str, number: int) -> None:
        self._edit.replace_statement(full_name, _RESERVED.format(number, full_name.rpartition(".")[2]))

    def _update_label_enums(self, class_names: dict[str, str]) -> None:
        classes = self._model.targets[0].classes
        for field in self._answer.fields:
            if field.enum_type is not None and classes and not field.is_repeated:
                self._update_enum(field, classes, class_names, complete=True)

    def _update_probabilities(self, response: ResponseDraft) -> None:
        """Reserves the fields of lost classes, and appends fields for new ones if each class has a field."""
        classes = self._model.targets[0].classes
        fields = {label: field for field in self._answer.fields if (label := self._class_of(field, response)) is not None}
        for label, field in fields.items():
            if label not in classes:
                self._reserve(field.full_name, field.number)
        missing = {label: line for label, line in response.classes.items() if fields and label not in fields}
        names = Names((*self._answer.fields_by_name, *_reserved_names(self._answer)))
        for number, (label, line) in zip(field_numbers(_next_number(self._answer)), missing.items(), strict=False):
            self._edit.append(self._answer.full_name, "\n" + _text(_probability_line(line, label, number, names)))

    def _class_of(self, field: FieldDescriptor, response: ResponseDraft) -> str | None:
        """The class whose probability a field holds, known to the model or not; None for other fields."""
        output = self._contract.options.get(field, "foretell.v1.output")
        if output is not None and output.WhichOneof("kind") == "probability_of":
            return str(output.probability_of)
        name = probability_class(field.name)
        if output is not None or not name:
            return None
        by_field = {line.name: label for label, line in response.classes.items()}
        by_name = {snake(label, "class"): label for label in response.classes}
        return by_field.get(field.name) or by_name.get(name) or name

    def _update_enum(self, field: FieldDescriptor, labels: Sequence[str], display: dict[str, str], *, complete: bool) -> None:
        """Appends values for new labels; if `labels` are `complete`, reserves the values of all others."""
        enum = enum_of(field)
        if not self._edit.has(enum.full_name):
            return
        found = match_labels(enum, labels, self._contract.options)
        zero: Any = enum.values[0]
        prefix = str(zero.name).removesuffix(f"_{short_name(zero)}")
        names = Names((*(value.name for value in enum.values), *_reserved_names(enum)))
        numbers = list(found.by_number)
        for number, label in enumerate(found.without_value, _next_number(enum)):
            text = display.get(label, label)
            name = names.take(f"{prefix}_{upper(text, 'value')}")
            self._edit.append(enum.full_name, _text(value_line(name, number, label, text, prefix)))
            numbers.append(number)
        if complete:
            for value in found.without_label:
                if not is_unspecified(value):
                    self._reserve(f"{enum.full_name}.{value.name}", value.number)
            examples = self._contract.rules.of(field).examples
            if examples and examples[0] not in numbers:
                self._set_example(field, "enum", str(numbers[0]))

    def _set_example(self, field: FieldDescriptor, kind: str, text: str) -> None:
        place = self._rule(field, kind, "example", 0)
        if place:
            name, _, _ = self._edit.text(*place).partition("=")
            self._edit.replace(*place, f"{name}= {text}")


def _probability_line(line: Line, label: str, number: int, names: Names) -> Line:
    """The drafted field of a class, with another number, and another name if its own is taken."""
    kind = line.declared.partition(f" {line.name} = ")[0]
    name = names.take(line.name)
    options = dict(line.options)
    if name != line.name:
        options["(foretell.v1.output).probability_of"] = quoted(label)
    return Line(line.comment, f"{kind} {name} = {number}", tuple(options.items()))


def _wrapped(comment: str) -> str:
    """The comment with its paragraphs wrapped again; lists keep their lines."""
    indent = comment[: len(comment) - len(comment.lstrip())]
    text = "\n".join(line.strip().removeprefix("//").removeprefix(" ") for line in comment.splitlines())
    paragraphs = re.sub(r"(?<=\S)\n(?=[^\s\-*])", " ", text)
    return "".join(f"{line}\n" for line in comment_lines(paragraphs, indent))


def _text(line: Line | Block) -> str:
    return "\n".join(line.lines()) + "\n"


def _option_texts(known: Range) -> list[str]:
    return [" = ".join(option) for option in known.options]


def _proto(descriptor: Any) -> Any:
    proto: Any = EnumDescriptorProto() if isinstance(descriptor, EnumDescriptor) else DescriptorProto()
    descriptor.CopyToProto(proto)
    return proto


def _reserved_names(descriptor: Any) -> list[str]:
    return list(_proto(descriptor).reserved_name)


def _next_number(descriptor: Any) -> int:
    """A number above every present and reserved one."""
    proto, is_enum = _proto(descriptor), isinstance(descriptor, EnumDescriptor)
    numbers: list[int] = [each.number for each in (proto.value if is_enum else proto.field)]
    numbers += [each.end - (not is_enum) for each in proto.reserved_range]  # The end is exclusive in a message only.
    return 1 + max(numbers, default=0)
