"""What a message can carry though it means nothing: protobuf takes it, and no rule of a contract sees it."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.unknown_fields import UnknownFieldSet

from foretell_contract.fields import Kind, is_map, kind_of, map_entry, message_of
from foretell_contract.rules.rules import Violation

_TIMES = {
    Kind.TIME: (-62_135_596_800, 253_402_300_799, "timestamp_format", "must be a time of the years 1 to 9999"),
    Kind.DURATION: (-315_576_000_000, 315_576_000_000, "duration_format", "must be within 10,000 years, its parts of one sign"),
}
"""Seconds from and to, as protobuf defines these messages; the same words as over REST, where they are texts."""


class UnknownFields:
    """Looks for them in messages of one type, however deep. Immutable; safe to use from any thread.

    Fields that the contract does not have are a caller's newer or misspelt feature, which must not be dropped in silence.
    """

    def __init__(self, message: Descriptor, kind: Kind | None = None) -> None:
        self._name = message.full_name
        self._kind = kind
        self._inside: list[tuple[str, bool, bool, UnknownFields]] = []
        for field in message.fields:
            inner = map_entry(field)[1] if is_map(field) else field
            if inner.message_type is not None:
                self._inside.append(
                    (field.name, field.is_repeated, is_map(field), UnknownFields(message_of(inner), kind_of(inner)))
                )

    def of(self, message: Any, place: str = "") -> Iterator[Violation]:
        """One violation for each; `place` is the path of `message` itself."""
        for field in UnknownFieldSet(message):  # type: ignore[attr-defined]  # iterable, though its stub does not say so
            yield Violation(place, "unknown_field", f"field number {field.field_number} is not in {self._name}")
        if self._kind in _TIMES:
            yield from _off_the_calendar(message, place, self._kind)
        for name, repeated, mapped, inside in self._inside:
            path = f"{place}.{name}" if place else name
            if mapped:
                for key, value in getattr(message, name).items():
                    yield from inside.of(value, f'{path}["{key}"]' if isinstance(key, str) else f"{path}[{key}]")
            elif repeated:
                for index, value in enumerate(getattr(message, name)):
                    yield from inside.of(value, f"{path}[{index}]")
            elif message.HasField(name):
                yield from inside.of(getattr(message, name), path)


def _off_the_calendar(time: Any, place: str, kind: Kind) -> Iterator[Violation]:
    least, most, rule, text = _TIMES[kind]
    signs = time.nanos * time.seconds >= 0 if kind is Kind.DURATION else time.nanos >= 0
    if not least <= time.seconds <= most or not -(10**9) < time.nanos < 10**9 or not signs:
        yield Violation(place, rule, text)
