"""The fast path between JSON and serialised messages, for rows of numbers.

It handles bodies that are certainly valid and leaves all others to the Codec, which words the problems.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from struct import pack
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from msgspec.structs import astuple

from foretell_contract.rows.fast_bounds import row_counts
from foretell_contract.rows.row_layout import SMALL, RowLayout
from foretell_contract.rules.rules import Rules
from rest_bridge.json.codec import COLUMNS
from rest_bridge.json.scalars import LARGEST, Form, writer

_NUMBERS: Any = {kind: Annotated[float, msgspec.Meta(ge=-largest, le=largest)] for kind, largest in LARGEST.items()}
_NUMBERS[FieldDescriptor.CPPTYPE_DOUBLE] = float  # The decoder itself refuses numbers beyond the range of a double.
_encode = msgspec.json.Encoder().encode


def number_row_codec(
    message: Descriptor, rows: FieldDescriptor | None, rules: Rules, *, columns: bool = False
) -> "NumberRowCodec | None":
    """The fast codec of a row of numbers, or of a message whose only field `rows` repeats such rows, perhaps in columns.

    It also writes rows with labels in integers of one byte. None for a row without a RowLayout, and for one whose fields are not
    declared in the order of their numbers.
    """
    row: Descriptor = (rows and rows.message_type) or message
    layout = RowLayout.of(row, integers=True)
    if layout is None or layout.names != tuple(field.name for field in row.fields):
        return None
    many: Any = list
    types = {field.name: _NUMBERS.get(field.cpp_type, Any) for field in row.fields}
    struct = _struct({name: many[kind] for name, kind in types.items()} if columns else types)
    texts = {place: _texts(row.fields[place]) for place in layout.integers}
    if rows is None:
        return _RowCodec(layout, struct, texts)
    batch = _struct({COLUMNS: struct} if columns else {rows.name: many[struct]})
    counts = row_counts(message, rules) or range(sys.maxsize)
    return _BatchCodec(layout, rows, counts, columns, struct, batch, texts, msgspec.json.Decoder(batch).decode)


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


@dataclass(frozen=True, slots=True)
class _BatchCodec:
    _layout: RowLayout
    _rows: FieldDescriptor
    _counts: range
    _columns: bool
    _struct: Any
    _batch: Any
    _texts: dict[int, list[Any]]
    _decode: Callable[[bytes], Any]

    def read(self, body: bytes) -> bytes | None:
        if self._texts:
            return None
        try:
            (content,) = astuple(self._decode(body))
        except ValueError:  # A msgspec or a UnicodeDecodeError.
            return None
        lists = astuple(content) if self._columns else list(map(astuple, content))
        numbers, fields = tuple(chain.from_iterable(lists)), len(self._layout.names)
        ragged, count = self._columns and len(set(map(len, lists))) > 1, len(numbers) // fields
        if ragged or count not in self._counts or not _has_colons(body, (fields if self._columns else len(numbers)) + 1):
            return None
        matrix = np.ndarray(len(numbers), np.float64, pack(f"{len(numbers)}d", *numbers))  # Half the time of np.array.
        matrix = matrix.reshape(fields, count).T if self._columns else matrix.reshape(count, fields)
        return self._layout.encode_batch(matrix, self._rows)

    def write(self, data: bytes) -> bytes | None:
        matrix = self._layout.decode_batch(data, self._rows)
        if matrix is None or not np.isfinite(matrix).all():
            return None
        columns: list[list[Any]] = matrix.T.tolist()
        for place, texts in self._texts.items():
            columns[place] = list(map(texts.__getitem__, matrix[:, place].astype(np.intp).tolist()))
        return _encode(self._batch(self._struct(*columns) if self._columns else list(map(self._struct, *columns))))


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
