"""Decodes and encodes rows of numbers without building protobuf messages.

A message of only singular doubles and floats has a canonical encoding: each field once, in the order of the field numbers. Its size
is fixed, so a batch is a matrix with constant tag bytes between the columns. In an answer, fields of small integers may stand
beside: enums, bools and integers below 128, which a varint holds in one byte. Decoding returns None for any other encoding, which
the caller then parses with protobuf. Every protobuf parser reads what is encoded here.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from struct import Struct
from typing import Any, Self

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from numpy.typing import NDArray

from foretell_contract.fields import is_in_oneof
from foretell_contract.rows.wire import DELIMITED, I32, I64, VARINT, tag, varint

Matrix = NDArray[np.float64]
"""Shape (rows, fields), columns in the order of the field numbers."""

SMALL = 128
"""Integers from 0 to below this take one byte."""

_NUMBERS = {FieldDescriptor.TYPE_DOUBLE: "d", FieldDescriptor.TYPE_FLOAT: "f"}
_SMALL_INTEGERS = {
    FieldDescriptor.TYPE_BOOL: "?",
    FieldDescriptor.TYPE_ENUM: "B",
    FieldDescriptor.TYPE_INT32: "B",
    FieldDescriptor.TYPE_INT64: "B",
    FieldDescriptor.TYPE_UINT32: "B",
    FieldDescriptor.TYPE_UINT64: "B",
}
_CODES = _NUMBERS | _SMALL_INTEGERS
_WIRE_TYPES = {"d": I64, "f": I32, "B": VARINT, "?": VARINT}
_LIMITS = {"B": SMALL, "?": 2}
_MASKS = {"d": bytes(8), "f": bytes(4), "B": b"\x80", "?": b"\xfe"}
"""Which bits of a value are always 0."""


class RowLayout:
    """The canonical encoding of one message type. Safe to use from any thread."""

    def __init__(self, fields: Sequence[FieldDescriptor]) -> None:
        self.names = tuple(field.name for field in fields)
        """Field names in the order of the field numbers: the columns of every matrix."""
        self._codes = [_CODES[field.type] for field in fields]
        self._tags = tuple(tag(field.number, _WIRE_TYPES[code]) for field, code in zip(fields, self._codes, strict=True))
        self._limits = [(place, _LIMITS[code]) for place, code in enumerate(self._codes) if code in _LIMITS]
        self.integers = tuple(place for place, _ in self._limits)
        """The columns that hold small integers."""
        form = "".join(f"{len(mark)}s{code}" for mark, code in zip(self._tags, self._codes, strict=True))
        self._struct = Struct("<" + form.replace("?", "B"))  # A byte, of which struct would make a bool.
        self._parts = [part for mark in self._tags for part in (mark, 0.0)]
        self._single = _Records(b"", self._tags, self._codes)
        self._batches: dict[int, _Records] = {}

    @classmethod
    def of(cls, message: Descriptor, *, integers: bool = False) -> Self | None:
        """The layout of `message`; None if it is empty or a field is not a singular double or float outside of a oneof.

        With `integers`, a field may also be an enum, a bool or an integer; values outside of one byte are not canonical.
        """
        fields = sorted(message.fields, key=lambda field: field.number)
        types = _CODES if integers else _NUMBERS
        fixed = all(field.type in types and not field.is_repeated and not is_in_oneof(field) for field in fields)
        return cls(fields) if fields and fixed else None

    def row(self, data: bytes) -> tuple[float, ...] | None:
        """The values of one message; None if it is not canonical."""
        if len(data) != self._struct.size:
            return None
        parts = self._struct.unpack(data)
        if parts[::2] != self._tags:
            return None
        row = parts[1::2]
        for place, limit in self._limits:
            if row[place] >= limit:
                return None
        return row

    def decode_batch(self, data: bytes, rows: FieldDescriptor) -> Matrix | None:
        """The rows of a batch whose only field `rows` repeats this message; None if the batch is not canonical."""
        return self._batch(rows.number).decode(data)

    def split(self, data: bytes, rows: FieldDescriptor) -> list[bytes] | None:
        """The bytes of each row of such a batch; None if the batch is not canonical."""
        return self._batch(rows.number).split(data)

    def encode(self, row: Sequence[float]) -> bytes:
        """One message with every field present, zeros too.

        A float field gets the nearest float, or infinity for a value out of its range, as in protobuf. Small integers must be ints.
        """
        parts = self._parts.copy()
        parts[1::2] = row
        try:
            return self._struct.pack(*parts)
        except OverflowError:
            return self._single.encode(np.array([row], np.float64))

    def encode_batch(self, matrix: Matrix, rows: FieldDescriptor) -> bytes:
        """A batch whose only field `rows` repeats this message, with every field present; floats as in `encode`."""
        return self._batch(rows.number).encode(matrix)

    def _batch(self, number: int) -> "_Records":
        if number not in self._batches:
            head = tag(number, DELIMITED) + varint(self._struct.size)
            self._batches[number] = _Records(head, self._tags, self._codes)
        return self._batches[number]


class _Records:
    """Records of one fixed size: a head, then a tag and a value per field."""

    def __init__(self, head: bytes, tags: Sequence[bytes], codes: Sequence[str]) -> None:
        known = [head, *(part for mark, code in zip(tags, codes, strict=True) for part in (mark, bytes(len(_MASKS[code]))))]
        constant = [(b"\xff" * len(mark), _MASKS[code]) for mark, code in zip(tags, codes, strict=True)]
        masks = [b"\xff" * len(head), *(part for parts in constant for part in parts)]
        self._template = np.frombuffer(b"".join(known), np.uint8)
        self._mask = np.frombuffer(b"".join(masks), np.uint8)
        self._head = len(head)
        self._fields = len(tags)
        self._type = _record_type(len(head), tags, codes)
        _, *self._runs = self._type.names or ()

    def decode(self, data: bytes) -> Matrix | None:
        if not self._fits(data):
            return None
        matrix = np.empty((len(data) // len(self._template), self._fields))
        with np.errstate(invalid="ignore"):  # A signalling NaN becomes a quiet one, as in protobuf.
            for columns, values in self._values(data):
                matrix[:, columns] = values
        return matrix

    def split(self, data: bytes) -> list[bytes] | None:
        size = len(self._template)
        return [data[start + self._head : start + size] for start in range(0, len(data), size)] if self._fits(data) else None

    def encode(self, matrix: Matrix) -> bytes:
        data = bytearray(self._template.tobytes() * len(matrix))
        with np.errstate(over="ignore", invalid="ignore"):
            for columns, values in self._values(data):
                values[...] = matrix[:, columns]
        return bytes(data)

    def _fits(self, data: bytes) -> bool:
        count, rest = divmod(len(data), len(self._template))
        records = np.ndarray((count, len(self._template)), np.uint8, data)
        return not rest and not ((records & self._mask) != self._template).any()

    def _values(self, data: bytes | bytearray) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        """Each run of columns, and a view of its values, shape (rows, columns)."""
        records = np.ndarray(len(data) // self._type.itemsize, self._type, data)
        column = 0
        for run in self._runs:
            values = records[run]["value"]
            yield slice(column, column + values.shape[1]), values
            column += values.shape[1]


def _record_type(head: int, tags: Sequence[bytes], codes: Sequence[str]) -> np.dtype[np.void]:
    """The head, then an array of tags and values for each run of fields of one type and one tag length."""
    runs: list[Any] = [("head", f"V{head}")]
    for (width, code), run in groupby((len(mark), code) for mark, code in zip(tags, codes, strict=True)):
        runs.append((f"run {len(runs)}", [("tag", f"V{width}"), ("value", f"<{code}")], (len(list(run)),)))
    return np.dtype(runs)
