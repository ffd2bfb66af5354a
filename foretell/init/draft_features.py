"""The fields of a contract's features, drafted from the columns of a model."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import EnumDescriptor

from foretell.check.training_range import FIELD, Range, seen
from foretell_contract.source.proto_text import Block, Line, Option, number_text, quoted
from foretell_contract.source.spelling import Names, enum_prefix, pascal, snake, upper
from grpc_server.checks.training_columns import Column
from grpc_server.store.training_values import seconds

FEW = 20
"""Most texts of which an enum is made."""

_EACH = 5
"""How often each text of an enum is seen on average, where the model does not list them."""

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 1000
"""Characters of a text of which nothing is known."""

_HUGE = 2**62
"""From here on the bounds around a whole number need not fit into 64 bits."""


class Scope:
    """The names that the messages, enums and values of one package share."""

    def __init__(self, types: Iterable[str] = (), enums: Iterable[EnumDescriptor] = ()) -> None:
        """What is there already: names of types, and enums."""
        enums = tuple(enums)
        there = ("Features", "Response", "FeaturesBatch", "ResponseBatch", *types, *(str(enum.name) for enum in enums))
        self._types = Names(there, joint="")
        self._values = Names(str(value.name) for enum in enums for value in enum.values)

    def reserve(self, name: str) -> None:
        """Let no type have this name."""
        self._types.take(name)

    def enum(self, name: str, comment: str, labels: dict[str, str]) -> "Enum":
        """An enum for something of this name, with a value for each label; a label is shown as what it maps to."""
        kind = self._types.take(pascal(name, "kind"))
        prefix = enum_prefix(kind).removesuffix("_")
        nothing = self._values.take(f"{prefix}_UNSPECIFIED")
        values, lines = {}, [Line("Nothing is said.", f"{nothing} = 0")]
        for place, (label, shown) in enumerate(labels.items(), 1):
            values[label] = self._values.take(f"{prefix}_{upper(shown, 'value')}")
            lines.append(value_line(values[label], place, label, shown, prefix))
        return Enum(kind, values, Block(comment, f"enum {kind}", lines, packed=True))


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum, and the name of the value of each label."""

    name: str
    values: dict[str, str]
    block: Block

    @property
    def rules(self) -> list[Option]:
        """Those that take nothing but its values."""
        return [(f"{FIELD}.enum.defined_only", "true"), (f"{FIELD}.enum.not_in", "0")]

    def example(self, label: str) -> Option:
        """The value of this label as an example."""
        return f"{FIELD}.enum.example", str(list(self.values).index(label) + 1)


@dataclass(frozen=True, slots=True)
class Feature:
    """A field, and the enum that it needs, if any."""

    column: str
    name: str
    line: Line
    enum: Enum | None = None
    range: Range | None = None


def value_line(name: str, place: int, label: str, shown: str, prefix: str) -> Line:
    """A value of an enum. It carries its label unless its name alone says it."""
    evident = _PLAIN.fullmatch(label) and name == f"{prefix}_{label.upper()}"
    return Line(f"{said(shown)}.", f"{name} = {place}", () if evident else (("(foretell.v1.label)", quoted(label)),))


def said(name: str) -> str:
    """A name as the beginning of a sentence."""
    words = " ".join(name.replace("_", " ").split())
    return words[:1].upper() + words[1:] or "A value without a name"


def feature(column: Column, place: int, names: Names, scope: Scope) -> Feature:
    """The field of a column, of this number."""
    name = names.take(snake(column.name, "column"))
    kind, what, rules, enum, bounds = _kind(column, scope)
    comment = f"{said(column.name)}, {what}." + "".join(f" {told}" for told in _told(bounds))
    gaps = sum(value is None for value in column.values)
    if column.nullable:
        comment += f" May be missing, as in {gaps:,} of {len(column.values):,} rows."
    options: list[Option] = [("(foretell.v1.column)", quoted(column.name))] if column.name != name else []
    options += [] if column.nullable else [(f"{FIELD}.required", "true")]
    presence = "" if kind.startswith("google.") else "optional "
    line = Line(comment, f"{presence}{kind} {name} = {place}", (*options, *rules))
    return Feature(column.name, name, line, enum, bounds)


def _told(bounds: Range | None) -> list[str]:
    return [told for told in (bounds.sentence, bounds.accepted) if told] if bounds else []


_Kind = tuple[str, str, list[Option], Enum | None, Range | None]
"""Type, what a value is, rules, enum and what was seen of it."""


def _kind(column: Column, scope: Scope) -> _Kind:
    if column.dtype.unit:
        return _duration(column) if column.dtype.is_duration else _time(column)
    if column.dtype.is_text:
        return _text(column, scope)
    known = [value for value in column.values if value is not None]
    if column.dtype.name == "bool" or (known and all(isinstance(value, bool) for value in known)):
        return "bool", "true or false", _example(column, "bool"), None, None
    whole = all(isinstance(value, int) and abs(value) < _HUGE for value in known) if known else "int" in column.dtype.name
    return _number(column, "int64" if whole else "double", [float(v) if not whole else int(v) for v in known])


def _number(column: Column, kind: str, values: list[Any]) -> _Kind:
    what = "a whole number" if kind == "int64" else "a number"
    categories = column.dtype.categories
    if categories and len(categories) <= FEW and all(float(each).is_integer() for each in categories) and kind == "int64":
        listed = [(f"{FIELD}.int64.in", str(int(each))) for each in categories]
        told = ", ".join(str(int(each)) for each in categories)
        return kind, f"one of {told}", [*listed, *_example(column, kind)], None, None
    if not values:
        rules = [(f"{FIELD}.double.finite", "true")] if kind == "double" else []
        return kind, f"{what}; nothing is known of its range", rules, None, None
    bounds = seen(kind, values)
    return kind, what, [*bounds.options, *_example(column, kind)], None, bounds


def _time(column: Column) -> _Kind:
    moments = [seconds(str(value)) for value in column.values if value is not None]
    bounds = seen("timestamp", moments or [0.0, 0.0])
    rules = [*bounds.options]
    if moments:
        rules.append((f"{FIELD}.timestamp.example", f"{{seconds: {int(seconds(str(column.example)))}}}"))
    what = "a point in time" if moments else f"a point in time. {bounds.accepted.removesuffix('.')}"
    return "google.protobuf.Timestamp", what, rules, None, bounds if moments else None


def _duration(column: Column) -> _Kind:
    lengths = [float(value) for value in column.values if value is not None]
    if not lengths or column.example is None:
        return "google.protobuf.Duration", "a length of time; nothing is known of its range", [], None, None
    bounds = seen("duration", lengths)
    rules = [*bounds.options, (f"{FIELD}.duration.example", f"{{seconds: {int(float(column.example))}}}")]
    return "google.protobuf.Duration", "a length of time", rules, None, bounds


def _text(column: Column, scope: Scope) -> _Kind:
    known = [str(value) for value in column.dtype.categories]
    found = [str(value) for value in column.values if value is not None]
    labels = known or sorted(set(found))
    enough = bool(known) or len(found) >= _EACH * len(labels)
    if labels and len(labels) <= FEW and enough and len(set(labels)) == len(labels):
        comment = f"{said(column.name)}, as the model knows it."
        enum = scope.enum(column.name, comment, {label: label for label in labels})
        example = [enum.example(str(column.example))] if str(column.example) in enum.values else []
        return enum.name, f"one of the {len(labels)} that the model knows", [*enum.rules, *example], enum, None
    return _free_text(column, known, found)


def _free_text(column: Column, known: list[str], found: list[str]) -> _Kind:
    if known and column.closed:
        listed = [(f"{FIELD}.string.in", quoted(label)) for label in known]
        return "string", f"one of {len(known):,} texts", [*listed, *_example(column, "string")], None, None
    longest = max(map(len, found), default=0)
    most = max(FEW, -(-2 * longest // 10) * 10) if found else _LONGEST
    rules = [(f"{FIELD}.string.min_len", "1")] if found and all(found) else []
    rules += [(f"{FIELD}.string.max_len", str(most)), *_example(column, "string")]
    return "string", f"a text of up to {most:,} characters", rules, None, None


def _example(column: Column, kind: str) -> list[Option]:
    value = column.example
    if value is None:
        return []
    if kind == "string":
        return [(f"{FIELD}.string.example", quoted(str(value)))]
    shown = bool(value) if kind == "bool" else int(value) if kind == "int64" else float(value)
    return [(f"{FIELD}.{kind}.example", number_text(shown))]
