"""Which value of an enum is which label of a model: by name, as the two spell it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from google.protobuf.descriptor import EnumDescriptor, EnumValueDescriptor

from foretell_contract.custom_options import CustomOptions
from foretell_contract.source.spelling import enum_prefix

PROBABILITY_SUFFIX = "_probability"
"""A response field whose name ends so holds the probability of the class before it, unless `(foretell.v1.output)` is set."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_LETTER = re.compile(r"[^A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class Labels:
    """How the values of an enum and some labels go together."""

    by_number: dict[int, str]
    """The label of each value that has one."""
    without_value: tuple[str, ...]
    """Labels for which the enum has no value, in their order."""
    without_label: tuple[EnumValueDescriptor, ...]
    """Values that are no label. The one of number 0 is none where it means that nothing is said."""

    @property
    def numbers(self) -> dict[str, int]:
        """The value of each label."""
        return {label: number for number, label in reversed(self.by_number.items())}


def short_name(value: EnumValueDescriptor) -> str:
    """The name without that of its enum: `SETOSA` for `SPECIES_SETOSA`."""
    short = str(value.name).removeprefix(enum_prefix(value.type.name))
    return short or str(value.name)


def match_labels(enum: EnumDescriptor, labels: Iterable[str], options: CustomOptions) -> Labels:
    """Match by `(foretell.v1.label)`, else by name.

    Names match in UPPER_SNAKE: `SPECIES_SEPAL_LENGTH_CM` is `sepal length (cm)`. A name that two labels share matches neither.
    """
    labels = tuple(labels)
    stated = {value.number: options.get(value, "foretell.v1.label") for value in enum.values}
    shared: dict[str, list[str]] = {}
    for name in labels:
        if name not in stated.values():
            shared.setdefault(_snake(name), []).append(name)
    alike = {name: same[0] for name, same in shared.items() if len(same) == 1}
    found: dict[int, str] = {}
    for value in enum.values:
        label = stated[value.number] or alike.get(_snake(short_name(value)))
        if label in labels:
            found.setdefault(value.number, label)
    without_label = tuple(value for value in enum.values if value.number not in found and not is_unspecified(value))
    return Labels(found, tuple(label for label in labels if label not in found.values()), without_label)


def default_labels(enum: EnumDescriptor, options: CustomOptions) -> dict[int, str]:
    """A label for each value where the model tells none: its `(foretell.v1.label)`, else its name in lower case."""
    names: dict[int, str] = {}
    for value in enum.values:
        if not is_unspecified(value):
            names.setdefault(value.number, options.get(value, "foretell.v1.label") or short_name(value).lower())
    return names


def label_changed(
    old: EnumValueDescriptor, new: EnumValueDescriptor, before: CustomOptions, after: CustomOptions
) -> tuple[str, str] | None:
    """What a value stood for and stands for now, where a name could not say both; None where it is the same label."""
    was, is_now = (
        options.get(value, "foretell.v1.label") or short_name(value).lower() for value, options in ((old, before), (new, after))
    )
    return (was, is_now) if _snake(was) != _snake(is_now) else None


def is_unspecified(value: EnumValueDescriptor) -> bool:
    """Whether it is the value that stands for none, such as `SPECIES_UNSPECIFIED`."""
    return value.number == 0 and short_name(value) in ("UNSPECIFIED", "UNKNOWN")


def probability_class(field: str) -> str:
    """`setosa` for a field named `setosa_probability`; empty for any other name."""
    name = field.removesuffix(PROBABILITY_SUFFIX)
    return name if name != field else ""


def did_you_mean_value(text: str, values: Iterable[EnumValueDescriptor]) -> str:
    """`; did you mean "SPECIES_SETOSA"?` for the value that the text nearly names; nothing when none is close."""
    names = {short_name(value): str(value.name) for value in values}
    wanted = _snake(text[:100])
    prefix = next((name.removesuffix(short) for short, name in names.items()), "")
    close = get_close_matches(wanted.removeprefix(prefix), names, n=1, cutoff=0.6)
    return f'; did you mean "{names[close[0]]}"?' if close else ""


def _snake(label: str) -> str:
    return _NO_LETTER.sub("_", _HUMP.sub("_", label).upper()).strip("_")
