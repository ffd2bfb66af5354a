"""Rows of mixed columns: sent to a worker, sliced and concatenated, and read from golden rows."""

import socket
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpc_server.errors import ModelMismatch
from grpc_server.rows.mixed_rows import Dtype, Table, concatenate, placeholder_row, repeat_rows, rows_from_columns
from grpc_server.store.manifest import golden_dtype, golden_rows, read_golden
from grpc_server.workers.wire_frame import receive, send
from tests.support.fakes import MANIFEST

COUNT = 5
whole = st.integers(-(2**63) + 1, 2**63 - 1)
columns = st.one_of(
    st.tuples(st.just(Dtype()), st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=COUNT, max_size=COUNT)),
    st.tuples(st.just(Dtype("int64")), st.lists(whole, min_size=COUNT, max_size=COUNT)),
    st.tuples(st.just(Dtype("bool")), st.lists(st.booleans(), min_size=COUNT, max_size=COUNT)),
    st.tuples(st.just(Dtype("datetime64[us]")), st.lists(st.one_of(st.none(), whole), min_size=COUNT, max_size=COUNT)),
    st.tuples(
        st.just(Dtype("object", missing="none")),
        st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8")), st.binary()), min_size=COUNT, max_size=COUNT),
    ),
)


def same(one: Table, other: Table) -> bool:
    return all(
        a.dtype == b.dtype and (a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes())
        for a, b in zip(one.columns, other.columns, strict=True)
    )


@settings(deadline=None)
@given(st.lists(columns, min_size=1, max_size=4))
def test_worker_receives_the_table_sent(made: list[tuple[Dtype, list[Any]]]) -> None:
    table = Table(tuple(dtype.array(values) for dtype, values in made))
    one_end, other_end = socket.socketpair()
    with one_end, other_end:
        send(one_end, table)
        received = receive(other_end)
    assert isinstance(received, Table)
    assert same(received, table)


@given(st.lists(columns, min_size=1, max_size=4), st.integers(0, COUNT))
def test_concatenated_slices_are_the_table(made: list[tuple[Dtype, list[Any]]], at: int) -> None:
    table = Table(tuple(dtype.array(values) for dtype, values in made))
    assert same(concatenate([table[:at], table[at:]]), table)
    assert len(repeat_rows(table, 12)) == 12


def test_float64_columns_make_a_matrix() -> None:
    found = rows_from_columns([[1, None], [2.5, 3]], [Dtype(), Dtype()])
    np.testing.assert_array_equal(found, [[1, 2.5], [np.nan, 3]])  # type: ignore[arg-type]


def test_placeholder_row_has_valid_values() -> None:
    dtypes = [Dtype("category", ("x", "y")), Dtype("object"), Dtype("datetime64[ns]"), Dtype("bool"), Dtype(), Dtype("int64")]
    found = placeholder_row(dtypes)
    assert isinstance(found, Table)
    assert [column[0] for column in found.columns] == ["x", "", np.datetime64(0, "ns"), False, 0.0, 0]


def test_unknown_column_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'complex128' is not a column type"):
        Dtype("complex128")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], Dtype()),
        ([True, None], Dtype()),
        (["a", None], Dtype("object")),
        (["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00"], Dtype("datetime64[us]")),
        ([None], Dtype()),
    ],
)
def test_column_types_follow_from_golden_values(values: list[Any], expected: Dtype) -> None:
    assert golden_dtype(values) == expected


def test_golden_rows_become_a_table() -> None:
    dtypes = {"at": Dtype("datetime64[ms]"), "took": Dtype("timedelta64[ms]"), "city": Dtype("object")}
    manifest = MANIFEST.model_copy(update={"columns": ("at", "took", "city", "x"), "dtypes": dtypes})
    line = (
        b'{"features": {"at": "1970-01-01T01:00:00.25+01:00", "took": 1.5, "city": null, "x": 2}, "outputs": {"label": "setosa"}}'
    )
    found = golden_rows(read_golden(line), manifest)
    assert isinstance(found, Table)
    assert [column[0] for column in found.columns[:2]] == [np.datetime64(250, "ms"), np.timedelta64(1500, "ms")]
    assert found.columns[2][0] != found.columns[2][0]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "at",
            "today",
            "golden row 1: at is 'today', but the column is datetime64[ms]: write a time such as 2026-05-01T12:00:00Z there",
        ),
        ("city", 3, "golden row 1: city is 3, but the column is object: write a text there"),
        ("x", "3", "golden row 1: x is '3', but the column is float64: write a number there"),
    ],
)
def test_golden_value_of_another_type_is_refused(column: str, value: Any, message: str) -> None:
    dtypes = {"at": Dtype("datetime64[ms]"), "city": Dtype("object")}
    manifest = MANIFEST.model_copy(update={"columns": ("at", "city", "x"), "dtypes": dtypes})
    (row,) = read_golden(b'{"features": {"at": null, "city": null, "x": 1}}')
    with pytest.raises(ModelMismatch) as refused:
        golden_rows([row.model_copy(update={"features": row.features | {column: value}})], manifest)
    assert str(refused.value) == f"{message}, and add the model again"
