"""Decodes and encodes rows of numbers without building protobuf messages.

A message of only singular doubles and floats has a canonical encoding: each field once, in the order of the field numbers. Its size
is fixed, so a batch is a matrix with constant tag bytes between the columns. Decoding returns None for any other encoding, which
the caller then parses with protobuf. Every protobuf parser reads what is encoded here.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from struct import Struct
from typing import Self

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from numpy.typing import NDArray

from foretell_contract.rows.wire import DELIMITED, I32, I64, tag, varint

Matrix = NDArray[np.float64]
"""Shape (rows, fields), columns in the order of the field numbers."""

_CODES = {FieldDescriptor.TYPE_DOUBLE: "d", FieldDescriptor.TYPE_FLOAT: "f"}
_WIRE_TYPES = {"d": I64, "f": I32}
_SIZES = {"d": 8, "f": 4}


class RowLayout:
    """The canonical encoding of one message type. Safe to use from any thread."""

    def __init__(self, fields: Sequence[FieldDescriptor]) -> None:
        self.names = tuple(field.name for field in fields)
        """Field names in the order of the field numbers: the columns of every matrix."""
        self._codes = [_CODES[field.type] for field in fields]
        self._tags = tuple(tag(field.number, _WIRE_TYPES[code]) for field, code in zip(fields, self._codes, strict=True))
        self._struct = Struct("<" + "".join(f"{len(mark)}s{code}" for mark, code in zip(self._tags, self._codes, strict=True)))
        self._parts = [part for mark in self._tags for part in (mark, 0.0)]
        self._single = _Records(b"", self._tags, self._codes)
        self._batches: dict[int, _Records] = {}

    @classmethod
    def of(cls, message: Descriptor) -> Self | None:
        """The layout of `message`; None if it is empty or a field is not a singular double or float outside of a oneof."""
        fields = sorted(message.fields, key=lambda field: field.number)
        return cls(fields) if fields and all(map(_is_fixed, fields)) else None

    def row(self, data: bytes) -> tuple[float, ...] | None:
        """The values of one message; None if it is not canonical."""
        if len(data) != self._struct.size:
            return None
        parts = self._struct.unpack(data)
        return parts[1::2] if parts[::2] == self._tags else None

    def decode_batch(self, data: bytes, rows: FieldDescriptor) -> Matrix | None:
        """The rows of a batch whose only field `rows` repeats this message; None if the batch is not canonical."""
        return self._batch(rows.number).decode(data)

    def split(self, data: bytes, rows: FieldDescriptor) -> list[bytes] | None:
        """The bytes of each row of such a batch; None if the batch is not canonical."""
        return self._batch(rows.number).split(data)

    def encode(self, row: Sequence[float]) -> bytes:
        """One message with every field present, zeros too.

        A float field gets the nearest float, or infinity for a value out of its range, as in protobuf.
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
        known = [head, *(part for mark, code in zip(tags, codes, strict=True) for part in (mark, bytes(_SIZES[code])))]
        masks = [(b"\0" if place and place % 2 == 0 else b"\xff") * len(part) for place, part in enumerate(known)]
        self._template = np.frombuffer(b"".join(known), np.uint8)
        self._mask = np.frombuffer(b"".join(masks), np.uint8)
        self._runs = list(_runs(len(head), tags, codes))
        self._head = len(head)
        self._fields = len(tags)

    def decode(self, data: bytes) -> Matrix | None:
        size = len(self._template)
        count = len(data) // size
        if not self._fits(data, count):
            return None
        matrix = np.empty((count, self._fields))
        with np.errstate(invalid="ignore"):  # A signalling NaN becomes a quiet one, as in protobuf.
            for run in self._runs:
                matrix[:, run.columns] = run.of(data, count, size)
        return matrix

    def split(self, data: bytes) -> list[bytes] | None:
        size = len(self._template)
        if not self._fits(data, len(data) // size):
            return None
        return [data[start + self._head : start + size] for start in range(0, len(data), size)]

    def _fits(self, data: bytes, count: int) -> bool:
        """Whether the data is exactly `count` records."""
        if len(data) != count * len(self._template):
            return False
        records = np.ndarray((count, len(self._template)), np.uint8, data)
        return not ((records & self._mask) != self._template).any()

    def encode(self, matrix: Matrix) -> bytes:
        data = bytearray(self._template.tobytes() * len(matrix))
        with np.errstate(over="ignore", invalid="ignore"):
            for run in self._runs:
                run.of(data, len(matrix), len(self._template))[...] = matrix[:, run.columns]
        return bytes(data)


class _Run:
    """Neighbouring columns of one type and one tag length: a strided view of the records."""

    def __init__(self, columns: slice, code: str, offset: int, stride: int) -> None:
        self.columns = columns
        self._type = np.dtype(f"<{code}")
        self._offset = offset
        self._stride = stride

    def of(self, data: bytes | bytearray, count: int, size: int) -> NDArray[np.floating]:
        """A view of the values in `count` records of `size` bytes, shape (count, columns of the run)."""
        shape = (count, self.columns.stop - self.columns.start)
        return np.ndarray(shape, self._type, data, self._offset if count else 0, (size, self._stride))


def _runs(offset: int, tags: Sequence[bytes], codes: Sequence[str]) -> Iterator[_Run]:
    column = 0
    for (width, code), group in groupby((len(mark), code) for mark, code in zip(tags, codes, strict=True)):
        length, stride = len(list(group)), width + _SIZES[code]
        yield _Run(slice(column, column + length), code, offset + width, stride)
        column, offset = column + length, offset + length * stride


def _is_fixed(field: FieldDescriptor) -> bool:
    alone = field.containing_oneof is None or len(field.containing_oneof.fields) == 1  # As `optional` is.
    return field.type in _CODES and not field.is_repeated and alone
