"""Checks a response as the contract does a request: its rules, and that its numbers are finite."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from math import isfinite
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell_contract.fields import is_map
from foretell_contract.rules.rules import Rules, ValidationResult, Violation


def broken_rules(response: Message, rows: FieldDescriptor | None, rules: Rules, most: int) -> ValidationResult:
    """The violations in a response, with the value in their text; the search for more ends after `most`.

    `rows` is the repeated field of a batch. Raises EvaluationError if a CEL rule fails on the response.
    """
    verdict = rules.validate(response, rows, most)
    found = [replace(each, message=_with_value(each.message, each.value)) for each in verdict.violations]
    places = {each.field for each in found}
    infinite = (each for each in _not_finite(response) if each.field not in places)
    return replace(verdict, violations=(*found, *islice(infinite, most)))


def _not_finite(message: Message, path: str = "") -> Iterator[Violation]:
    for field, value in message.ListFields():
        for place, each in _items(field, value, f"{path}{field.name}"):
            if isinstance(each, Message):
                yield from _not_finite(each, f"{place}.")
            elif isinstance(each, float) and not isfinite(each):
                kind = "double" if field.type == FieldDescriptor.TYPE_DOUBLE else "float"
                yield Violation(place, f"{kind}.finite", _with_value("must be finite", each))


def _items(field: FieldDescriptor, value: Any, path: str) -> Iterable[tuple[str, Any]]:
    """Each value of a field with its path, as violations write it."""
    if is_map(field):
        return ((f'{path}["{key}"]' if isinstance(key, str) else f"{path}[{key}]", each) for key, each in value.items())
    return ((f"{path}[{index}]", each) for index, each in enumerate(value)) if field.is_repeated else ((path, value),)


def _with_value(text: str, value: Any) -> str:
    return f"{text}; the model gave {value}" if isinstance(value, int | float | str) else text
