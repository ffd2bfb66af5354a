"""The fast path between JSON and serialised messages, for rows of numbers.

It handles bodies that are certainly valid and leaves all others to the Codec, which words the problems.
"""

import sys
from collections.abc import Sequence
from itertools import chain
from math import isfinite
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from msgspec.structs import astuple

from foretell_contract.rows.fast_bounds import row_counts
from foretell_contract.rows.row_layout import SMALL, RowLayout
from foretell_contract.rules.rules import Rules
from rest_bridge.json.scalars import LARGEST, Form, writer

_NUMBERS: Any = {kind: Annotated[float, msgspec.Meta(ge=-largest, le=largest)] for kind, largest in LARGEST.items()}
_encode = msgspec.json.Encoder().encode


def number_row_codec(message: Descriptor, rows: FieldDescriptor | None, rules: Rules) -> "NumberRowCodec | None":
    """The fast codec of a row of numbers, or of a message whose only field `rows` repeats such rows.

    It also writes rows with labels in integers of one byte. None for a row without a RowLayout, and for one whose fields are not
    declared in the order of their numbers.
    """
    row: Descriptor = (rows and rows.message_type) or message
    layout = RowLayout.of(row, integers=True)
    if layout is None or layout.names != tuple(field.name for field in row.fields):
        return None
    struct = _struct({field.name: _NUMBERS.get(field.cpp_type, Any) for field in row.fields})
    texts = {place: _texts(row.fields[place]) for place in layout.integers}
    return (
        _RowCodec(layout, struct, texts) if rows is None else _BatchCodec(layout, struct, texts, rows, row_counts(message, rules))
    )


class _RowCodec:
    def __init__(self, layout: RowLayout, struct: Any, texts: dict[int, list[Any]]) -> None:
        self._layout = layout
        self._struct = struct
        self._texts = texts
        self._decode = msgspec.json.Decoder(struct).decode

    def read(self, body: bytes) -> bytes | None:
        if self._texts:
            return None
        try:
            row = self._decode(body)
        except ValueError:  # A msgspec or a UnicodeDecodeError.
            return None
        return self._layout.encode(astuple(row)) if _has_colons(body, len(self._layout.names)) else None

    def write(self, data: bytes) -> bytes | None:
        row: Sequence[Any] | None = self._layout.row(data)
        if row is None or not isfinite(sum(row)):
            return None
        if self._texts:
            row = list(row)
            for place, texts in self._texts.items():
                row[place] = texts[row[place]]
        return _encode(self._struct(*row))


class _BatchCodec:
    def __init__(
        self, layout: RowLayout, struct: Any, texts: dict[int, list[Any]], rows: FieldDescriptor, counts: range | None
    ) -> None:
        self._layout = layout
        self._struct = struct
        self._texts = texts
        self._rows = rows
        self._counts = range(sys.maxsize) if counts is None else counts
        self._batch = _struct({rows.name: list[struct]})
        self._decode = msgspec.json.Decoder(self._batch).decode

    def read(self, body: bytes) -> bytes | None:
        if self._texts:
            return None
        try:
            (rows,) = astuple(self._decode(body))
        except ValueError:  # A msgspec or a UnicodeDecodeError.
            return None
        count, fields = len(rows), len(self._layout.names)
        if count not in self._counts or not _has_colons(body, count * fields + 1):
            return None
        values = np.fromiter(chain.from_iterable(map(astuple, rows)), np.float64, count * fields)
        return self._layout.encode_batch(values.reshape(count, fields), self._rows)

    def write(self, data: bytes) -> bytes | None:
        matrix = self._layout.decode_batch(data, self._rows)
        if matrix is None or not np.isfinite(matrix).all():
            return None
        columns: list[list[Any]] = matrix.T.tolist()
        for place, texts in self._texts.items():
            columns[place] = [texts[int(number)] for number in columns[place]]
        return _encode(self._batch(list(map(self._struct, *columns))))


NumberRowCodec: TypeAlias = _RowCodec | _BatchCodec
"""Thread-safe. `read` turns JSON text into a serialised message, `write` the reverse; both return None if the Codec must do it."""


def _texts(field: FieldDescriptor) -> list[Any]:
    """What JSON has for each integer of one byte: the name of an enum's value, true or false, a number."""
    write = writer(field, Form.RESPONSE)
    kind: Any = bool if field.type == FieldDescriptor.TYPE_BOOL else int
    return [write(kind(number)) for number in range(SMALL)]


def _struct(fields: dict[str, Any]) -> Any:
    """A struct with these names in JSON; in Python they are f0, f1, ..., since a field may be called `class`."""
    names = {f"f{place}": name for place, name in enumerate(fields)}
    types = zip(names, fields.values(), strict=True)
    return msgspec.defstruct("Struct", types, rename=names, forbid_unknown_fields=True, gc=False)


def _has_colons(body: bytes, count: int) -> bool:
    """Whether the body has one colon for each of its names: the decoder silently keeps the last of two equal names."""
    return body.count(b":") == count
