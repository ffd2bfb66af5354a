"""The row layout encodes and decodes exactly as protobuf does, and declines every other encoding."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import assume, given
from hypothesis import strategies as st

from foretell_contract.contract import load
from foretell_contract.rows.row_layout import Matrix, RowLayout
from tests.support.contract_files import RESPONSE, SERVICE, write_contract
from tests.support.messages import BOOL, DOUBLE, FLOAT, INT64, UINT32, NumberField, row_and_batch

NUMBERS = st.one_of(st.integers(1, 20), st.sampled_from([127, 2047, 2048, 262_144, 2**29 - 1]))
FIELDS = st.lists(
    st.tuples(NUMBERS, st.sampled_from([DOUBLE, DOUBLE, FLOAT]), st.booleans()), min_size=1, max_size=6, unique_by=lambda f: f[0]
)
MIXED = st.lists(
    st.tuples(NUMBERS, st.sampled_from([DOUBLE, FLOAT, BOOL, INT64, UINT32]), st.booleans()),
    min_size=1,
    max_size=6,
    unique_by=lambda f: f[0],
)
ROWS = st.integers(1, 20)
VALUES = st.one_of(st.floats(), st.sampled_from([-0.0, math.nan, math.inf, 5e-324, 1e39, -1e39, 1.1754942e-38]))


class Rows:
    """A row message, its batch message and its layout."""

    def __init__(self, fields: list[tuple[int, int, bool]], rows: int) -> None:
        self.row, self.batch = row_and_batch([NumberField(*field) for field in fields], rows)
        layout = RowLayout.of(self.row, integers=True)
        assert layout is not None
        self.layout = layout

    @property
    def rows(self) -> FieldDescriptor:
        return self.batch.fields[0]  # type: ignore[no-any-return]


def parsed(message: Descriptor, data: bytes, names: tuple[str, ...]) -> tuple[float, ...] | None:
    """The values as protobuf reads them; None for invalid bytes, a missing field with presence, or an unknown field."""
    try:
        found = GetMessageClass(message).FromString(data)
    except DecodeError:
        return None
    missing = any(field.has_presence and not found.HasField(field.name) for field in message.fields)
    return None if missing or len(UnknownFieldSet(found)) else tuple(getattr(found, name) for name in names)


def parsed_rows(made: Rows, data: bytes) -> list[tuple[float, ...] | None] | None:
    try:
        batch: Any = GetMessageClass(made.batch).FromString(data)
    except DecodeError:
        return None
    if len(UnknownFieldSet(batch)):
        return None
    names = made.layout.names
    return [None if len(UnknownFieldSet(row)) else tuple(getattr(row, name) for name in names) for row in batch.rows]


def bits(row: Any) -> list[bytes]:
    return [struct.pack("<d", value) for value in row]


def matrices(fields: int) -> st.SearchStrategy[Matrix]:
    rows = st.lists(st.lists(VALUES, min_size=fields, max_size=fields), max_size=5)
    return rows.map(lambda values: np.array(values, np.float64).reshape(len(values), fields))


@given(FIELDS, ROWS, st.data())
def test_encoded_rows_read_back_as_protobuf_does(fields: Any, rows: int, data: st.DataObject) -> None:
    made = Rows(fields, rows)
    matrix = data.draw(matrices(len(fields)))
    written = made.layout.encode_batch(matrix, made.rows)
    read = parsed_rows(made, written)
    back = made.layout.decode_batch(written, made.rows)
    assert read is not None
    assert back is not None
    assert list(map(bits, back)) == [bits(row or ()) for row in read]
    assert back.dtype == np.float64
    assert made.layout.split(written, made.rows) == [made.layout.encode(values) for values in matrix.tolist()]
    for values, expected in zip(matrix.tolist(), read, strict=True):
        one = made.layout.encode(values)
        assert bits(parsed(made.row, one, made.layout.names) or ()) == bits(expected or ())
        assert bits(made.layout.row(one) or ()) == bits(expected or ())


@given(st.integers(1, 20), st.data())
def test_double_keeps_every_bit(fields: int, data: st.DataObject) -> None:
    made = Rows([(number, DOUBLE, True) for number in range(1, fields + 1)], 1)
    values = data.draw(st.lists(st.binary(min_size=8, max_size=8), min_size=fields, max_size=fields))
    row = [struct.unpack("<d", value)[0] for value in values]
    back = made.layout.decode_batch(made.layout.encode_batch(np.array([row]), made.rows), made.rows)
    assert back is not None
    assert bits(back[0]) == values
    assert bits(made.layout.row(made.layout.encode(row)) or ()) == values


@st.composite
def damaged(draw: Any, data: bytes) -> bytes:
    """The bytes with some changed, cut, repeated or reversed."""
    for _ in range(draw(st.integers(1, 3))):
        first, last = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        middle = draw(st.sampled_from([data[first:last] * 2, b"", data[first:last][::-1], bytes([draw(st.integers(0, 255))])]))
        data = data[:first] + middle + data[last if draw(st.booleans()) else min(first + 1, len(data)) :]
    return data


@given(MIXED, ROWS, st.data())
def test_small_integers_read_back_as_protobuf_does(fields: Any, rows: int, data: st.DataObject) -> None:
    made = Rows(fields, rows)
    kinds = [kind for _, kind, _ in sorted(fields)]
    one = [
        data.draw(st.floats(-100, 100, width=16) if kind in (DOUBLE, FLOAT) else st.integers(0, int(kind != BOOL) * 126 + 1))
        for kind in kinds
    ]
    written = made.layout.encode_batch(np.array([one, one], np.float64), made.rows)
    assert parsed_rows(made, written) == [tuple(one)] * 2
    assert made.layout.split(written, made.rows) == [made.layout.encode(one)] * 2
    assert made.layout.row(made.layout.encode(one)) == tuple(one)
    back = made.layout.decode_batch(written, made.rows)
    assert back is not None
    assert back.tolist() == [one, one]


@pytest.mark.parametrize("number", [128, 300, 2**31, -1])
def test_larger_integers_are_declined(number: int) -> None:
    made = Rows([(1, INT64, True), (2, DOUBLE, True)], 1)
    for beside in ({"f2": 0.5}, {}):
        message = GetMessageClass(made.row)(f1=number, **beside)
        assert made.layout.row(message.SerializeToString()) is None
        assert made.layout.decode_batch(GetMessageClass(made.batch)(rows=[message]).SerializeToString(), made.rows) is None


@pytest.mark.parametrize("byte", [2, 127])
def test_bool_of_another_byte_is_declined(byte: int) -> None:
    made = Rows([(1, BOOL, True)], 1)
    data = bytes([1 << 3, byte])
    assert parsed(made.row, data, ("f1",)) == (True,)
    assert made.layout.row(data) is None
    assert made.layout.decode_batch(bytes([1 << 3 | 2, len(data)]) + data, made.rows) is None


@given(FIELDS | MIXED, ROWS, st.data())
def test_damaged_bytes_never_read_otherwise_than_protobuf(fields: Any, rows: int, data: st.DataObject) -> None:
    made = Rows(fields, rows)
    matrix = data.draw(matrices(len(fields)))
    assume(len(matrix))
    for place in made.layout.integers:
        matrix[:, place] = data.draw(st.integers(0, 1))
    first = [int(value) if place in made.layout.integers else value for place, value in enumerate(matrix[0].tolist())]
    one = data.draw(damaged(made.layout.encode(first)) | st.binary(max_size=20))
    read = made.layout.row(one)
    assert read is None or bits(read) == bits(parsed(made.row, one, made.layout.names) or ())
    many = data.draw(damaged(made.layout.encode_batch(matrix, made.rows)) | st.binary(max_size=20))
    back = made.layout.decode_batch(many, made.rows)
    split = made.layout.split(many, made.rows)
    assert (split is None) == (back is None)
    assert back is None or list(map(bits, back)) == [bits(row or ()) for row in parsed_rows(made, many) or ()]


@given(FIELDS, st.data())
def test_row_with_missing_field_is_declined(fields: Any, data: st.DataObject) -> None:
    made = Rows(fields, 1)
    missing = data.draw(st.sampled_from(made.layout.names))
    message = GetMessageClass(made.row)(**{name: 1.5 for name in made.layout.names if name != missing})
    assert made.layout.row(message.SerializeToString()) is None
    batch = GetMessageClass(made.batch)(rows=[message])
    assert made.layout.decode_batch(batch.SerializeToString(), made.rows) is None


def test_columns_follow_field_numbers() -> None:
    made = Rows([(7, DOUBLE, True), (2, DOUBLE, False), (300, FLOAT, True)], 1)
    assert made.layout.names == ("f2", "f7", "f300")
    message = GetMessageClass(made.row)(f2=2, f7=7, f300=300)
    assert made.layout.row(message.SerializeToString()) == (2, 7, 300)


def test_empty_batch_has_no_rows() -> None:
    made = Rows([(1, DOUBLE, True), (2, DOUBLE, True)], 1)
    empty = made.layout.decode_batch(b"", made.rows)
    assert empty is not None
    assert empty.shape == (0, 2)
    assert made.layout.encode_batch(np.empty((0, 2)), made.rows) == b""
    assert made.layout.row(b"") is None


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Any:
    messages = """
        message Features { optional double x = 1; }
        message Other {
          message Integer { double x = 1; int32 y = 2; }
          message List { repeated double x = 1; }
          message Either { oneof either { double x = 1; double y = 2; } }
          message Nested { Features x = 1; }
          message Text { string x = 1; }
          message None {}
        }
    """
    return load(write_contract(tmp_path_factory.mktemp("other"), SERVICE, messages, RESPONSE))


@pytest.mark.parametrize("name", ["Integer", "List", "Either", "Nested", "Text", "None"])
def test_other_messages_have_no_layout(other: Any, name: str) -> None:
    assert RowLayout.of(other.message(f"test.v1.Other.{name}").DESCRIPTOR, integers=name != "Integer") is None
    assert RowLayout.of(other.services[0].methods[0].input) is not None
