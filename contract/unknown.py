"""Fields that a message carries and its contract does not have: a caller's newer or misspelt feature, which protobuf would drop."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.unknown_fields import UnknownFieldSet

from contract.fields import is_map, map_entry, message_of
from contract.rules import Violation


class UnknownFields:
    """Looks for them in messages of one type, however deep. Immutable; safe to use from any thread."""

    def __init__(self, message: Descriptor) -> None:
        self._name = message.full_name
        self._inside: list[tuple[str, bool, bool, UnknownFields]] = []
        for field in message.fields:
            inner = map_entry(field)[1] if is_map(field) else field
            if inner.message_type is not None:
                self._inside.append((field.name, field.is_repeated, is_map(field), UnknownFields(message_of(inner))))

    def of(self, message: Any, place: str = "") -> Iterator[Violation]:
        """One violation for each; `place` is the path of `message` itself."""
        for field in UnknownFieldSet(message):  # type: ignore[attr-defined]  # iterable, though its stub does not say so
            yield Violation(place, "unknown_field", f"field number {field.field_number} is not in {self._name}")
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
