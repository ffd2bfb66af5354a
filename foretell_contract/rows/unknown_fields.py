"""Finds unknown fields and invalid times in messages, which protobuf accepts and no rule of a contract sees."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.unknown_fields import UnknownFieldSet

from foretell_contract.fields import CALENDAR, Kind, is_map, kind_of, map_entry, message_of
from foretell_contract.rules.rules import Violation, subscript

_TIMES = {
    Kind.TIME: ("timestamp_format", "must be in the years 1 to 9999"),
    Kind.DURATION: ("duration_format", "must be at most 10,000 years, with seconds and nanos of one sign"),
}
"""Rule id, as over REST, and text of the violation."""


class UnknownFields:
    """Finds unknown fields and invalid times in messages of one type, at any depth. Immutable; safe to use from any thread.

    An unknown field is usually a feature of a newer contract, which must not be dropped silently.
    """

    def __init__(self, message: Descriptor, kind: Kind | None = None) -> None:
        self._name = message.full_name
        self._kind = kind
        self._nested: list[tuple[str, bool, bool, UnknownFields]] = []
        for field in message.fields:
            inner = map_entry(field)[1] if is_map(field) else field
            if inner.message_type is not None:
                self._nested.append(
                    (field.name, field.is_repeated, is_map(field), UnknownFields(message_of(inner), kind_of(inner)))
                )

    def violations(self, message: Any, path: str = "") -> Iterator[Violation]:
        """One violation for each; `path` is the path of `message` in the request."""
        for field in UnknownFieldSet(message):  # type: ignore[attr-defined]  # iterable, though its stub does not say so
            yield Violation(path, "unknown_field", f"field number {field.field_number} is not in {self._name}")
        if self._kind in _TIMES:
            yield from _invalid_time(message, path, self._kind)
        for name, repeated, mapped, nested in self._nested:
            field_path = f"{path}.{name}" if path else name
            if repeated:
                values = getattr(message, name)
                for key, value in values.items() if mapped else enumerate(values):
                    yield from nested.violations(value, field_path + subscript(key))
            elif message.HasField(name):
                yield from nested.violations(getattr(message, name), field_path)


def _invalid_time(time: Any, path: str, kind: Kind) -> Iterator[Violation]:
    least, most = (nanoseconds // 10**9 for nanoseconds in CALENDAR[kind])
    signs = time.nanos * time.seconds >= 0 if kind is Kind.DURATION else time.nanos >= 0
    if not least <= time.seconds <= most or not -(10**9) < time.nanos < 10**9 or not signs:
        yield Violation(path, *_TIMES[kind])
