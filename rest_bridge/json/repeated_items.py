"""Joins and splits messages whose only field repeats another message, without parsing the items."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from foretell_contract.rows.row_layout import RowLayout
from foretell_contract.rows.wire import DELIMITED, tag, varint


class RepeatedItems:
    """Joins and splits one message type. Thread-safe."""

    def __init__(self, message: type[Message], field: FieldDescriptor) -> None:
        self._message: Any = message
        self._field = field
        item: Any = field.message_type
        self._layout = RowLayout.of(item)

    def join(self, items: Iterable[bytes]) -> bytes:
        """The serialised message of these serialised items."""
        return b"".join([part for item in items for part in (_head(self._field.number, len(item)), item)])

    def split(self, data: bytes) -> list[bytes]:
        """The serialised items of a serialised message. Raises DecodeError if the bytes are no such message."""
        items = self._layout.split(data, self._field) if self._layout is not None else None
        if items is None:
            items = [item.SerializeToString() for item in getattr(self._message.FromString(data), self._field.name)]
        return items


@lru_cache(maxsize=1024)
def _head(number: int, length: int) -> bytes:
    return tag(number, DELIMITED) + varint(length)
