"""Copies of a row that differ from it in one field, however deep."""

from typing import Any

from google.protobuf.message import Message


def with_value(row: Message, above: tuple[str, ...], name: str, value: Any) -> Message:
    """A copy with another value of the field `name` in the messages `above`; None for none."""
    copy, part = copied(row, above)
    part.ClearField(name)
    if value is not None:
        part.MergeFrom(type(part)(**{name: value}))
    return copy


def without_key(row: Message, above: tuple[str, ...], name: str, key: Any) -> Message:
    """A copy in which a map lacks a key."""
    copy, part = copied(row, above)
    del getattr(part, name)[key]
    return copy


def copied(row: Message, above: tuple[str, ...]) -> tuple[Message, Any]:
    """A copy, and the message in it that is meant."""
    copy: Any = type(row)()
    copy.CopyFrom(row)
    part = copy
    for each in above:
        part = getattr(part, each)
    return copy, part
