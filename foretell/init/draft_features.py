"""Drafts the fields of `Features` from the columns of a model."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from google.protobuf.descriptor import EnumDescriptor

from foretell.check.training_range import FIELD, Range, range_of
from foretell.init.column_units import column_unit
from foretell_contract.source.proto_text import Block, Line, Option, number_text, quoted
from foretell_contract.source.spelling import Names, enum_prefix, pascal, snake, upper
from grpc_server.checks.training_columns import Column
from grpc_server.store.training_values import SampleValues, seconds

FEW = 20
"""Most texts that become an enum."""

_MIN_REPEATS = 5
"""If the model does not list the texts of a column, an enum needs this many rows for each on average."""

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
_MOST_LISTED = 200
"""Characters of the texts that a comment lists."""

_MAX_LENGTH = 1000
"""Characters of a text without training data."""

_NUMBERS = {
    "double": ("double", "a number"),
    "int64": ("int64", "an integer"),
    "uint64": ("uint64", "an integer"),
    "timestamp": ("google.protobuf.Timestamp", "a timestamp"),
    "duration": ("google.protobuf.Duration", "a duration"),
}
"""Type and description of a field by its group of `buf.validate` rules."""

ENUM_RULES: list[Option] = [(f"{FIELD}.enum.defined_only", "true"), (f"{FIELD}.enum.not_in", "0")]
"""Rules that accept only the named values, without the unspecified one."""


class PackageNames:
    """The names of types and enum values in one package, which must differ."""

    def __init__(self, types: Iterable[str] = (), enums: Iterable[EnumDescriptor] = ()) -> None:
        """Starts with the names of a contract's types and enums."""
        enums = tuple(enums)
        taken = ("Features", "Response", "FeaturesBatch", "ResponseBatch", *types, *(str(enum.name) for enum in enums))
        self._types = Names(taken, joint="")
        self._values = Names(str(value.name) for enum in enums for value in enum.values)

    def enum(self, name: str, comment: str, labels: dict[str, str]) -> "DraftedEnum":
        """An enum named after `name`, with a value for each label; `labels` maps the model's labels to names for callers."""
        kind = self._types.take(pascal(name, "kind"))
        prefix = enum_prefix(kind).removesuffix("_")
        unspecified = self._values.take(f"{prefix}_UNSPECIFIED")
        values, lines = {}, [Line("Not specified.", f"{unspecified} = 0")]
        for number, (label, display) in enumerate(labels.items(), 1):
            values[label] = self._values.take(f"{prefix}_{upper(display, 'value')}")
            lines.append(value_line(values[label], number, label, display, prefix))
        return DraftedEnum(kind, values, Block(comment, f"enum {kind}", lines, packed=True))


@dataclass(frozen=True, slots=True)
class DraftedEnum:
    """An enum, and the name of its value for each label."""

    name: str
    values: dict[str, str]
    block: Block

    def example(self, label: str) -> Option:
        """An example: the value for this label."""
        return f"{FIELD}.enum.example", str(list(self.values).index(label) + 1)


def value_line(name: str, number: int, label: str, display: str, prefix: str) -> Line:
    """A value of an enum, with the option `label` unless the name implies it."""
    implied = _PLAIN.fullmatch(label) and name == f"{prefix}_{label.upper()}"
    return Line(f"{sentence_case(display)}.", f"{name} = {number}", () if implied else (("(foretell.v1.label)", quoted(label)),))


def sentence_case(name: str) -> str:
    """A name as the beginning of a sentence: `sepal_length` becomes `Sepal length`."""
    words = " ".join(name.replace("_", " ").split())
    return words[:1].upper() + words[1:] or "A value without a name"


def field_numbers(first: int = 1) -> Iterator[int]:
    """Numbers of fields from `first` on, without 19000 to 19999, which protobuf reserves."""
    return (number for number in count(first) if not 19_000 <= number < 20_000)


def draft_feature(
    column: Column, number: int, names: Names, package: PackageNames, *, outliers: bool
) -> tuple[Line, DraftedEnum | None]:
    """The field of a column, with this field number, and its enum, if it needs one; `outliers` as in `Range`."""
    name = names.take(snake(column.name, "column"))
    kind, what, rules, extra = _text(column, package) if column.dtype.is_text else _number(column, outliers=outliers)
    comment = f"{sentence_case(column.name)}, {what}."
    if isinstance(extra, Range):
        comment += f" {extra.sentence} {extra.accepted}".rstrip()
    if column.nullable:
        gaps = column.values.count(None)
        comment += f" May be missing, as in {gaps:,} of {len(column.values):,} rows." if gaps else " May be missing."
    options: list[Option] = [("(foretell.v1.column)", quoted(column.name))] if column.name != name else []
    options += [] if column.nullable else [(f"{FIELD}.required", "true")]
    presence = "" if kind.startswith("google.") else "optional "
    enum = extra if isinstance(extra, DraftedEnum) else None
    return Line(comment, f"{presence}{kind} {name} = {number}", (*options, *rules)), enum


_Kind = tuple[str, str, Sequence[Option], DraftedEnum | Range | None]
"""Protobuf type, description, rules, and the enum or the range in training, if any."""


def number_kind(column: Column, values: SampleValues) -> str:
    """An integer of 64 bits that holds every value, or else double."""
    if values.span is None:
        return column.dtype.name.lower() if "int" in column.dtype.name.lower() and "64" in column.dtype.name else "double"
    low, high = values.span
    # pandas reads integers of which some are missing as floats.
    gaps = (
        None in values and values.types <= {int, float} and all(float(value).is_integer() for value in set(values.known.tolist()))
    )
    if not values.types <= {int, bool} and not gaps:
        return "double"
    return "int64" if low >= -(2**63) and high < 2**63 else "uint64" if low >= 0 and high < 2**64 else "double"


def _number(column: Column, *, outliers: bool) -> _Kind:
    """A field of a bool, a number, a time or a duration."""
    values = SampleValues.of(column.values)
    if column.dtype.name in ("bool", "boolean") or values.types == {bool}:
        return "bool", "true or false", _example(column, "bool"), None
    group = ("duration" if column.dtype.is_duration else "timestamp") if column.dtype.unit else number_kind(column, values)
    kind, what = _NUMBERS[group]
    what = "a date, whose time of day is ignored" if column.dtype.name == "date" else what
    example, categories = _example(column, group), column.dtype.categories
    if kind == group != "double" and 0 < len(categories) <= FEW and all(map(_is_exact_integer, categories)):
        texts = [str(int(each)) for each in categories]
        return kind, f"one of {', '.join(texts)}", [*((f"{FIELD}.{kind}.in", text) for text in texts), *example], None
    if values.span is None and group != "timestamp":
        return kind, f"{what}; its range is unknown", [(f"{FIELD}.double.finite", "true")] if group == "double" else [], None
    numbers = [int(value) if "int" in group else float(value) for value in values.span or (0, 0)]
    bounds = range_of(group, numbers, column.name, outliers=outliers)
    unit = column_unit(column.name, is_flag=bounds.scale == (0, 1)) if kind == group else ""
    if values.span is None:  # The bounds of a time are the same for any training data of a century.
        return kind, f"{what}. {bounds.accepted.removesuffix('.')}", bounds.options, None
    return kind, what, [*([("(foretell.v1.unit)", quoted(unit))] if unit else []), *bounds.options, *example], bounds


def _is_exact_integer(value: Any) -> bool:
    """Whether a category is an integer that nothing has rounded."""
    return isinstance(value, int) or (abs(value) < 2**53 and float(value).is_integer())


def _text(column: Column, package: PackageNames) -> _Kind:
    """An enum for few texts, a list for more if the model takes no others, or else any text of a certain length."""
    known, values, example = [str(value) for value in column.dtype.categories], SampleValues.of(column.values), str(column.example)
    found = values.texts
    labels = known or (found if len(values.known) >= _MIN_REPEATS * len(found) else [])
    are_few = 0 < len(labels) <= FEW
    if are_few and not column.open_length and len(set(labels)) == len(labels):
        comment = f"{sentence_case(column.name)}: the values that the model was trained on."
        enum = package.enum(column.name, comment, {label: label for label in labels})
        shown = [enum.example(example)] if example in enum.values else []
        return enum.name, f"one of {len(labels)} values", [*ENUM_RULES, *shown], enum
    if known and column.closed:
        listed = [(f"{FIELD}.string.in", quoted(label)) for label in known]
        return "string", f"one of {len(known):,} texts", [*listed, *_example(column, "string")], None
    if found and not column.open_length:
        bounds = range_of("string", [len(text) for text in found])
        return "string", "a text", [*bounds.options, *_example(column, "string")], bounds
    length, texts = column.open_length or _MAX_LENGTH, ", ".join(labels)
    trained = f"; the longest in training has {max(map(len, found)):,}" if found else ""
    if column.open_length and are_few and texts.isprintable() and len(texts) <= _MOST_LISTED:
        trained = f"; the model was trained on {texts}, and answers other texts too"
    rules = [(f"{FIELD}.string.min_len", "1")] if column.open_length and not column.takes_empty else []
    rules += [(f"{FIELD}.string.max_len", str(length)), *_example(column, "string")]
    return "string", f"a text of up to {length:,} characters{trained}", rules, None


def _example(column: Column, kind: str) -> list[Option]:
    return [(f"{FIELD}.{kind}.example", literal(column.example, kind))] if column.example is not None else []


def literal(value: Any, kind: str) -> str:
    """A value of a column as an option has it; `kind` is the group of `buf.validate` rules."""
    if kind == "string":
        return quoted(str(value))
    if kind in ("timestamp", "duration"):
        return f"{{seconds: {int(seconds(str(value)) if kind == 'timestamp' else value)}}}"
    return number_text(bool(value) if kind == "bool" else float(value) if kind == "double" else int(value))
