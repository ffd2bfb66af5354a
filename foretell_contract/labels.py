"""Matches the values of an enum with the class labels of a model, by name."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from google.protobuf.descriptor import EnumDescriptor, EnumValueDescriptor

from foretell_contract.custom_options import CustomOptions
from foretell_contract.source.spelling import enum_prefix

PROBABILITY_SUFFIX = "_probability"
"""A response field with this suffix holds the probability of the class before it, unless `(foretell.v1.output)` is set."""

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_LETTER = re.compile(r"[^A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class Labels:
    """Which value of an enum stands for which label, and what is left over on both sides."""

    by_number: dict[int, str]
    without_value: tuple[str, ...]
    """Labels for which the enum has no value, in the order of the model."""
    without_label: tuple[EnumValueDescriptor, ...]
    """Values that match no label, in the order of the enum. `..._UNSPECIFIED = 0` is not among them."""

    @property
    def numbers(self) -> dict[str, int]:
        """The value of each matched label; the first one if aliases share a number."""
        return {label: number for number, label in reversed(self.by_number.items())}


def short_name(value: EnumValueDescriptor) -> str:
    """The name of a value without the prefix of its enum: `SETOSA` for `SPECIES_SETOSA`."""
    short = str(value.name).removeprefix(enum_prefix(value.type.name))
    return short or str(value.name)


def match_labels(enum: EnumDescriptor, labels: Iterable[str], options: CustomOptions) -> Labels:
    """Match by `(foretell.v1.label)`, else by name in UPPER_SNAKE: `SPECIES_SEPAL_LENGTH_CM` is `sepal length (cm)`.

    A name that two labels share in UPPER_SNAKE matches neither.
    """
    labels = tuple(labels)
    declared = {value.number: options.get(value, "foretell.v1.label") for value in enum.values}
    by_snake: dict[str, list[str]] = {}
    for name in labels:
        if name not in declared.values():
            by_snake.setdefault(_snake(name), []).append(name)
    unique = {snake: same[0] for snake, same in by_snake.items() if len(same) == 1}
    found: dict[int, str] = {}
    for value in enum.values:
        label = declared[value.number]
        label = unique.get(_snake(short_name(value))) if label is None else label
        if label in labels:
            found.setdefault(value.number, label)
    without_label = tuple(value for value in enum.values if value.number not in found and not is_unspecified(value))
    return Labels(found, tuple(label for label in labels if label not in found.values()), without_label)


def default_labels(enum: EnumDescriptor, options: CustomOptions) -> dict[int, str]:
    """A label for each value, for models that name no classes."""
    labels: dict[int, str] = {}
    for value in enum.values:
        if not is_unspecified(value):
            labels.setdefault(value.number, label_of(value, options))
    return labels


def request_texts(enum: EnumDescriptor, options: CustomOptions) -> dict[str, int]:
    """Texts that a JSON request may give for the enum, with their numbers: the names, then the labels.

    A label that is another value's name, or the label of two values, is not among them.
    """
    names = {str(value.name): int(value.number) for value in enum.values}
    labels = default_labels(enum, options)
    counts = Counter(labels.values())
    return names | {label: number for number, label in labels.items() if counts[label] == 1 and label not in names}


def same_name(label: str, other: str) -> bool:
    """Whether both labels match the same names of enum values."""
    return _snake(label) == _snake(other)


def label_of(value: EnumValueDescriptor, options: CustomOptions) -> str:
    """The `(foretell.v1.label)` of a value, else its short name in lower case."""
    declared = options.get(value, "foretell.v1.label")
    return short_name(value).lower() if declared is None else str(declared)


def is_unspecified(value: EnumValueDescriptor) -> bool:
    """Whether the value stands for none, such as `SPECIES_UNSPECIFIED = 0`."""
    return value.number == 0 and short_name(value) in ("UNSPECIFIED", "UNKNOWN")


def probability_class(field: str) -> str:
    """`setosa` for a field named `setosa_probability`; empty for any other name."""
    name = field.removesuffix(PROBABILITY_SUFFIX)
    return name if name != field else ""


def did_you_mean_value(text: str, values: Iterable[EnumValueDescriptor]) -> str:
    """`; did you mean "SPECIES_SETOSA"?` for the value whose name is closest to `text`; empty if none is close."""
    names = {short_name(value): str(value.name) for value in values}
    wanted = _snake(text[:100])
    prefix = next((name.removesuffix(short) for short, name in names.items()), "")
    close = get_close_matches(wanted.removeprefix(prefix), names, n=1, cutoff=0.6)
    return f'; did you mean "{names[close[0]]}"?' if close else ""


def _snake(label: str) -> str:
    return _NO_LETTER.sub("_", _WORD_START.sub("_", label).upper()).strip("_")
