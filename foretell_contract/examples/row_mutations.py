"""Copies of a row with one field changed, at any depth."""

from typing import Any

from google.protobuf.message import Message


def with_value(row: Message, parents: tuple[str, ...], name: str, value: Any) -> Message:
    """A copy in which the field `name` under the fields `parents` has another value; None clears the field."""
    copy, part = _copied(row, parents)
    part.ClearField(name)
    if value is not None:
        part.MergeFrom(type(part)(**{name: value}))
    return copy


def without_key(row: Message, parents: tuple[str, ...], name: str, key: Any) -> Message:
    """A copy in which the map `name` lacks a key."""
    copy, part = _copied(row, parents)
    del getattr(part, name)[key]
    return copy


def _copied(row: Message, parents: tuple[str, ...]) -> tuple[Message, Any]:
    """A copy of the row, and the message in it under the fields `parents`."""
    copy: Any = type(row)()
    copy.CopyFrom(row)
    part = copy
    for name in parents:
        part = getattr(part, name)
    return copy, part
