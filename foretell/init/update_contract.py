"""A contract that is there, brought up to date with a model that was trained again.

Ours are the sentence "Seen in training: ...", the bounds that follow from it, and examples that these bounds refuse. New columns,
classes and categories are appended; what is gone is reserved. All else belongs to the author and stays.
"""

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from foretell.check.training_range import Range, seen, told
from foretell.init.draft_features import Scope, feature, value_line
from foretell.init.draft_response import Response
from foretell_contract.contract import Contract
from foretell_contract.errors import SetupError
from foretell_contract.fields import Kind, enum_of
from foretell_contract.labels import is_unspecified, match_labels, probability_class, short_name
from foretell_contract.rows.columns import Leaf, Spread, leaves
from foretell_contract.service import Service
from foretell_contract.source.edit_file import FileEdit
from foretell_contract.source.proto_text import Line, comment_lines, number_text, quoted
from foretell_contract.source.spelling import Names, snake, upper
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.checks.training_columns import Column
from grpc_server.store.training_values import seconds

_RULES = 1159
"""Number of the extension `buf.validate.field`."""

_RANGED = {Kind.NUMBER: "double", Kind.INTEGER: "int64", Kind.TIME: "timestamp", Kind.DURATION: "duration"}

_RESERVED = """\
  // Reserved: the model no longer knows it.
  reserved {};
  reserved "{}";
"""


class Revision:
    """Collects what changes in one file."""

    def __init__(self, edit: FileEdit, contract: Contract, service: Service, model: ModelDescription) -> None:
        self._edit, self._contract, self._model = edit, contract, model
        self._features = service.methods[0].features
        self._answer = service.methods[0].answer
        self.notes: list[str] = []
        """What the author may want to look at."""

    def text(self, response: Response, shown: dict[str, str]) -> str:
        """The file as it is to be; `response` is what would be drafted of the model.

        Raises SetupError for what cannot go together.
        """
        self._of_features()
        self._of_classes(response, shown)
        if len(self._model.targets) > 1:
            self._of_targets(response)
        return self._edit.result

    def _of_targets(self, response: Response) -> None:
        """What a model of several targets gives and no field is named after is left to the author."""
        drafted = [line.declared.split()[1] for line in response.lines]
        untold = [name for name in drafted if name not in self._answer.fields_by_name]
        if untold:
            self.notes.append(
                f"{self._answer.full_name} has no {', '.join(untold)}, which this model gives: add what callers need by hand, "
                "or give it a package of its own with --package"
            )

    def _of_features(self) -> None:
        columns = {column.name: column for column in self._model.columns}
        bound: set[str] = set()
        for leaf in leaves(self._features, self._contract.rules, self._contract.options):
            there = [name for name in leaf.columns if name in columns]
            bound.update(there)
            if len(there) == len(leaf.columns):
                if leaf.spread is Spread.ONE:
                    self._update(leaf, columns[leaf.columns[0]])
                    self._of_presence(leaf, columns[leaf.columns[0]])
            elif there or leaf.parents:
                gone = next(name for name in leaf.columns if name not in columns)
                raise SetupError(
                    f"{leaf.field.full_name} makes the column {gone!r}, which the model no longer takes: change it by hand"
                )
            else:
                self._remove(leaf.field)
        self._append([column for column in self._model.columns if column.name not in bound])

    def _append(self, columns: Sequence[Column]) -> None:
        names = Names((*self._features.fields_by_name, *self._reserved(self._features)))
        scope = Scope(self._features.file.message_types_by_name, self._features.file.enum_types_by_name.values())
        for place, column in enumerate(columns, _next(self._features)):
            made = feature(column, place, names, scope)
            for kind in ("Timestamp", "Duration"):
                if made.line.declared.startswith(f"google.protobuf.{kind} "):
                    self._edit.require(f"google/protobuf/{kind.lower()}.proto")
            self._edit.append(self._features.full_name, "\n" + _lines(made.line))
            if made.enum:
                self._edit.add("\n" + "\n".join(made.enum.block.lines()) + "\n")

    def _of_presence(self, leaf: Leaf, column: Column) -> None:
        """Whether a value must be there is a promise to callers, of which its author decides."""
        if column.nullable and self._contract.rules.of(leaf.field).required:
            gaps = sum(value is None for value in column.values)
            self.notes.append(
                f"{leaf.field.full_name} is required, but is missing in {gaps:,} of {len(column.values):,} rows, and the model "
                "answers such a row: take `required` out if callers may leave it out, too"
            )

    def _update(self, leaf: Leaf, column: Column) -> None:
        if leaf.kind is Kind.ENUM and column.dtype.is_text:
            known = column.dtype.categories
            labels = list(dict.fromkeys(str(label) for label in known or sorted({str(v) for v in column.values if v is not None})))
            if labels:
                self._of_labels(leaf.field, labels, {}, whole=bool(known))
        kind, values = _RANGED.get(leaf.kind), [value for value in column.values if value is not None]
        if kind is None or not values or column.dtype.is_text:
            return
        numbers = [seconds(str(value)) if kind == "timestamp" else value for value in values]
        if kind == "int64" and any(isinstance(value, float) and not value.is_integer() for value in numbers):
            raise SetupError(
                f"{leaf.field.full_name} is a whole number, but the data has fractions of {column.name!r}: "
                "give it a package of its own with --package"
            )
        self._of_range(leaf, seen(kind, numbers), column)  # type: ignore[arg-type]

    def _of_range(self, leaf: Leaf, now: Range, column: Column) -> None:
        name = leaf.field.full_name
        before = told(now.kind, self._contract.comment(name))
        places = [self._rule(leaf.field, now.kind, rule) for rule in ("gte", "lte")]
        ours = before is not None and [self._edit.text(*place) for place in places if place] == _written(before)
        if before:
            self._sentence(name, before, now)
        if not ours:
            self._of_own_bounds(leaf, now)
            return
        for place, option in zip(places, _written(now), strict=True):
            if place:
                self._edit.replace(*place, option)
        low, high = now.bounds
        example = self._rule(leaf.field, now.kind, "example", 0)
        shown = [getattr(value, "seconds", value) for value in leaf.rules.examples[:1]]
        if example and shown and not low <= shown[0] <= high:
            name, _, _ = self._edit.text(*example).partition("=")
            self._edit.replace(*example, f"{name}= {_literal(column.example, now.kind)}")

    def _of_own_bounds(self, leaf: Leaf, now: Range) -> None:
        """Bounds that the author has set stay, and are looked at."""
        edges = {rule: getattr(value, "seconds", value) for rule, value in leaf.rules.values.items()}
        below = any(now.low < edges.get(rule, now.low) for rule in ("gt", "gte"))
        above = any(now.high > edges.get(rule, now.high) for rule in ("lt", "lte"))
        if below or above:
            self.notes.append(f"{leaf.field.full_name} has bounds of your own, which exclude training data. {now.sentence}")

    def _rule(self, field: FieldDescriptor, kind: str, rule: str, *more: int) -> tuple[int, int] | None:
        """Where a rule of a field stands."""
        stated = self._contract.rules.declared("field", field)
        if stated is None or not self._edit.has(field.full_name):
            return None
        group = stated.DESCRIPTOR.fields_by_name[kind]
        wanted = group.message_type.fields_by_name[rule].number
        within = (1,) if kind in ("timestamp", "duration") and not more else ()
        return self._edit.option(field.full_name, _RULES, group.number, wanted, *more, *within)

    def _sentence(self, name: str, before: Range, now: Range) -> None:
        """Replace our sentence in the comment, however its lines are broken, and wrap the paragraph again where it got too long."""
        start, end = self._edit.comment(name)
        comment = self._edit.text(start, end)
        words, bounds = (r"\s+(?://\s*)?".join(map(re.escape, said.split())) for said in (before.sentence, before.accepted))
        pattern = words + (rf"(?:\s+(?://\s*)?{bounds})?" if bounds else "")
        changed = re.sub(pattern, lambda _: f"{now.sentence} {now.accepted}".rstrip(), comment, count=1)
        if max(map(len, changed.splitlines()), default=0) > 80 and changed != comment:
            indent = changed[: len(changed) - len(changed.lstrip())]
            told = "\n".join(line.strip().removeprefix("//").removeprefix(" ") for line in changed.splitlines())
            flowing = re.sub(r"(?<=\S)\n(?=[^\s\-*])", " ", told)
            changed = "".join(f"{line}\n" for line in comment_lines(flowing, indent))
        self._edit.replace(start, end, changed)

    def _remove(self, field: FieldDescriptor) -> None:
        self._edit.replace_statement(field.full_name, _RESERVED.format(field.number, field.name))

    def _of_classes(self, response: Response, shown: dict[str, str]) -> None:
        if len(self._model.targets) > 1:
            return
        classes = self._model.targets[0].classes
        for field in self._answer.fields:
            if field.enum_type is not None and classes and not field.is_repeated:
                self._of_labels(field, classes, shown, whole=True)
        held = {}
        for field in self._answer.fields:
            label = self._class_of(field, response)
            if label is not None:
                held[label] = field
        for label, field in held.items():
            if label not in classes:
                self._remove(field)
        names = Names((*self._answer.fields_by_name, *self._reserved(self._answer)))
        missing = {label: line for label, line in response.classes.items() if held and label not in held}
        for place, (label, line) in enumerate(missing.items(), _next(self._answer)):
            kind, wanted, *_ = line.declared.split()
            name = names.take(wanted)
            says = () if name == wanted else (("(foretell.v1.output).probability_of", quoted(label)),)
            options = dict((*line.options, *says))
            self._edit.append(
                self._answer.full_name, "\n" + _lines(Line(line.comment, f"{kind} {name} = {place}", tuple(options.items())))
            )

    def _class_of(self, field: FieldDescriptor, response: Response) -> str | None:
        """The class whose probability a field holds; a name for one that the model does not know."""
        output = self._contract.options.get(field, "foretell.v1.output")
        if output is not None and output.WhichOneof("kind") == "probability_of":
            return str(output.probability_of)
        name = probability_class(field.name)
        if output is not None or not name:
            return None
        spelled = {line.declared.split()[1]: label for label, line in response.classes.items()}
        alike = {snake(label, "class"): label for label in response.classes}
        return spelled.get(field.name) or alike.get(name) or name

    def _of_labels(self, field: FieldDescriptor, labels: Sequence[str], shown: dict[str, str], *, whole: bool) -> None:
        """`whole` says that the model knows no other labels: values that stand for others are gone then."""
        enum = enum_of(field)
        if not self._edit.has(enum.full_name):
            return
        found = match_labels(enum, labels, self._contract.options)
        zero: Any = enum.values[0]
        prefix = str(zero.name).removesuffix(f"_{short_name(zero)}")
        names = Names((*(value.name for value in enum.values), *self._reserved(enum)))
        numbers = list(found.by_number)
        for place, label in enumerate(found.without_value, _next(enum)):
            name = names.take(f"{prefix}_{upper(shown.get(label, label), 'value')}")
            self._edit.append(enum.full_name, _lines(value_line(name, place, label, shown.get(label, label), prefix)))
            numbers.append(place)
        for value in found.without_label if whole else ():
            if not is_unspecified(value):
                self._edit.replace_statement(f"{enum.full_name}.{value.name}", _RESERVED.format(value.number, value.name))
        shows = self._rule(field, "enum", "example", 0)
        if shows and whole and self._contract.rules.of(field).examples[0] not in numbers:
            name, _, _ = self._edit.text(*shows).partition("=")
            self._edit.replace(*shows, f"{name}= {numbers[0]}")

    def _reserved(self, thing: Any) -> list[str]:
        return list(_proto(thing).reserved_name)


def _lines(line: Line) -> str:
    return "\n".join(line.lines()) + "\n"


def _written(known: Range) -> list[str]:
    return [" = ".join(option) for option in known.options]


def _literal(value: Any, kind: str) -> str:
    if kind == "duration":
        return f"{{seconds: {int(value)}}}"
    return f"{{seconds: {int(seconds(str(value)))}}}" if kind == "timestamp" else number_text(value)


def _proto(thing: Any) -> Any:
    from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto

    proto: Any = EnumDescriptorProto() if isinstance(thing, EnumDescriptor) else DescriptorProto()
    thing.CopyToProto(proto)
    return proto


def _next(thing: Any) -> int:
    """A number that no field or value has or ever had."""
    proto = _proto(thing)
    if isinstance(thing, EnumDescriptor):
        return 1 + max(
            int(last) for last in [*(value.number for value in proto.value), *(each.end for each in proto.reserved_range)]
        )
    return 1 + max(int(last) for last in [0, *(each.number for each in proto.field), *(r.end - 1 for r in proto.reserved_range)])
