"""Reading messages into rows: each kind of field in each type of column, and which pairs are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foretell_contract.contract import Contract, load
from foretell_contract.lint.contract_check import locate
from grpc_server.errors import ModelMismatch
from grpc_server.rows.feature_reader import FeatureReader
from grpc_server.rows.mixed_rows import FLOAT64, Dtype, Table
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract

ENUM = """
enum Color { COLOR_UNSPECIFIED = 0; COLOR_DARK_RED = 1; COLOR_BLUE = 2; }
message In { optional double x = 1; }
"""
TEXT = Dtype("object")
NAN = float("nan")


def made(root: Path, field: str) -> Contract:
    return load(write_contract(root, WELL_KNOWN, SERVICE, RESPONSE, ENUM, f"message Features {{ {field} }}"))


def reader(contract: Contract, **dtypes: Dtype) -> FeatureReader:
    return FeatureReader(contract, contract.services[0].methods[0].features, tuple(dtypes), tuple(dtypes.values()))


def rows(tmp_path: Path, field: str, dtype: Dtype, *values: dict[str, Any]) -> Any:
    contract = made(tmp_path, field)
    return reader(contract, a=dtype).rows([contract.services[0].methods[0].request(**value) for value in values])


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("double a = 1;", {"a": 1.5}, 1.5),
        ("optional int64 a = 1;", {}, NAN),
        ("google.protobuf.BoolValue a = 1;", {"a": {"value": True}}, 1.0),
        ("Color a = 1;", {"a": 2}, 2.0),
        ("google.protobuf.Timestamp a = 1;", {"a": {"seconds": -1, "nanos": 500_000_000}}, -0.5),
        ("google.protobuf.Duration a = 1;", {"a": {"seconds": 2, "nanos": 250_000_000}}, 2.25),
        ("google.protobuf.Timestamp a = 1;", {}, NAN),
    ],
)
def test_float64_column_takes_numbers(tmp_path: Path, field: str, given: dict[str, Any], expected: float) -> None:
    found = rows(tmp_path, field, FLOAT64, given, given)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[expected], [expected]])


@pytest.mark.parametrize(
    ("field", "dtype", "given", "expected"),
    [
        ("optional string a = 1;", TEXT, [{"a": "x"}, {}], ["x", NAN]),
        ("optional string a = 1;", Dtype("object", missing="none"), [{"a": "x"}, {}], ["x", None]),
        ("optional bytes a = 1;", TEXT, [{"a": b"\x00"}], [b"\x00"]),
        ("bool a = 1;", Dtype("bool"), [{"a": True}, {}], [True, False]),
        ("optional bool a = 1;", Dtype("bool"), [{"a": True}, {}], [True, NAN]),
        ("int64 a = 1;", Dtype("int64"), [{"a": 2**62 + 1}], [2**62 + 1]),
        ("optional int64 a = 1;", Dtype("int64"), [{"a": 3}, {}], [3.0, NAN]),
        ("int32 a = 1;", Dtype("category", (1, 2)), [{"a": 2}], [2]),
        (
            "Color a = 1 [(buf.validate.field).enum.defined_only = true];",
            Dtype("category", ("blue", "dark red")),
            [{"a": 1}, {"a": 2}, {}],
            ["dark red", "blue", NAN],
        ),
        ("Color a = 1 [(buf.validate.field).enum.defined_only = true];", TEXT, [{"a": 1}], ["dark_red"]),
        (
            "google.protobuf.Timestamp a = 1;",
            Dtype("datetime64[us]"),
            [{"a": {"seconds": 1, "nanos": 1500}}, {}],
            [np.datetime64(1_000_001, "us"), np.datetime64("NaT")],
        ),
        ("google.protobuf.Duration a = 1;", Dtype("timedelta64[s]"), [{"a": {"seconds": 9}}], [np.timedelta64(9, "s")]),
    ],
)
def test_typed_columns_take_their_values(tmp_path: Path, field: str, dtype: Dtype, given: list[Any], expected: list[Any]) -> None:
    found = rows(tmp_path, field, dtype, *given)
    assert isinstance(found, Table)
    for value, wanted in zip(found.columns[0], expected, strict=True):
        missing = value is not None and wanted is not None and value != value and wanted != wanted
        assert missing or value == wanted or value is wanted, (value, wanted)


def test_columns_are_in_training_order(tmp_path: Path) -> None:
    field = "repeated double v = 1 [(buf.validate.field).repeated = {min_items: 2, max_items: 2}]; In in = 2; string s = 3;"
    contract = made(tmp_path, field)
    columns = reader(contract, **{"v[1]": FLOAT64, "s": TEXT, "in.x": FLOAT64, "v[0]": FLOAT64})
    request: Any = contract.services[0].methods[0].request
    found = columns.rows([request(v=[1, 2], s="a"), request(v=[3, 4], s="b", **{"in": {"x": 5}})])
    assert isinstance(found, Table)
    np.testing.assert_array_equal(found.columns[0], [2, 4])
    assert found.columns[1].tolist() == ["a", "b"]
    np.testing.assert_array_equal(found.columns[2], [NAN, 5])
    np.testing.assert_array_equal(found.columns[3], [1, 3])


@pytest.mark.parametrize(("kind", "given"), [("bytes", b"\x01\xff"), ("google.protobuf.BytesValue", {"value": b"\x01\xff"})])
def test_bytes_of_a_fixed_length_are_numbers(tmp_path: Path, kind: str, given: Any) -> None:
    contract = made(tmp_path, f"{kind} a = 1 [(buf.validate.field).bytes.len = 2];")
    request: Any = contract.services[0].methods[0].request
    found = reader(contract, **{"a[0]": FLOAT64, "a[1]": FLOAT64}).rows([request(a=given), request()])
    np.testing.assert_array_equal(found, [[1, 255], [NAN, NAN]])


def test_no_messages_make_no_rows(tmp_path: Path) -> None:
    assert len(rows(tmp_path, "string a = 1;", TEXT)) == 0
    assert rows(tmp_path, "optional double a = 1;", FLOAT64).shape == (0, 1)


@pytest.mark.parametrize(
    ("field", "dtype", "message"),
    [
        ("string a = 1;", FLOAT64, "a is text, but the model's column 'a' holds numbers. Fix: declare it as a number."),
        ("double a = 1;", TEXT, "a is a number, but the model's column 'a' holds text. Fix: declare it as a string or an enum."),
        (
            "int32 a = 1;",
            Dtype("category", ("x",)),
            "a is an integer, but the model's column 'a' holds text. Fix: declare it as a string or an enum.",
        ),
        ("bytes a = 1;", Dtype("int64"), "a is bytes, but the model's column 'a' holds numbers. Fix: declare it as a number."),
        (
            "google.protobuf.Timestamp a = 1;",
            TEXT,
            "a is a timestamp, but the model's column 'a' holds text. Fix: declare it as a string or an enum.",
        ),
        (
            "google.protobuf.Duration a = 1;",
            Dtype("datetime64[us]"),
            "a is a duration, but the model's column 'a' holds timestamps. Fix: declare it as google.protobuf.Timestamp.",
        ),
        (
            "google.protobuf.Duration a = 1;",
            Dtype("bool"),
            "a is a duration, but the model's column 'a' holds numbers. Fix: declare it as a number.",
        ),
        (
            "double a = 1;",
            Dtype("timedelta64[us]"),
            "a is a number, but the model's column 'a' holds durations. Fix: declare it as google.protobuf.Duration.",
        ),
        (
            'bytes a = 1 [(buf.validate.field).bytes.len = 1, (foretell.v1.column) = "{}"];',
            TEXT,
            "a is bytes of a fixed length, each a number, but the model's column '0' holds text. "
            "Fix: remove the rule on its length, or declare another type.",
        ),
        (
            "Color a = 1;",
            TEXT,
            "a may hold an enum number without a name, but the model takes names. Fix: add the rule `enum.defined_only`.",
        ),
        (
            "Color a = 1 [(buf.validate.field).enum.defined_only = true];",
            Dtype("category", ("blue", "darkred")),
            "COLOR_DARK_RED of a matches no category of the model's column 'a'; did you mean \"darkred\"? "
            "Fix: remove it, forbid it with `enum.not_in`, or set (foretell.v1.label) to the model's name for it.",
        ),
        (
            "google.protobuf.Timestamp a = 1 [(buf.validate.field).timestamp.lt_now = true];",
            Dtype("datetime64[ns]"),
            "a may be a time beyond the range of the model's nanosecond column 'a'. "
            "Fix: limit it to 1678 to 2262 with `timestamp.gte` and `lte`.",
        ),
    ],
)
def test_field_that_its_column_cannot_hold_is_refused(tmp_path: Path, field: str, dtype: Dtype, message: str) -> None:
    line = 21 if message.startswith("COLOR") else 23
    assert errors(made(tmp_path, field), **{"0" if "{}" in field else "a": dtype}) == [f"{line}: error: {message}"]


def errors(contract: Contract, **dtypes: Dtype) -> list[str]:
    """The problems as `foretell check` prints them, without the file name."""
    with pytest.raises(ModelMismatch) as refused:
        reader(contract, **dtypes)
    return [str(found).removeprefix("test/v1/test.proto:") for found in locate(contract, refused.value.problems)]


NO_FIELD = (
    "23: error: the model's column 'a' has no field in test.v1.Features. "
    'Fix: add a field with that name, or set (foretell.v1.column) = "a" on one.'
)


@pytest.mark.parametrize(
    ("field", "messages"),
    [
        (
            "double aa = 1;",
            [
                '23: error: test.v1.Features.aa matches no column of the model; did you mean "a"? '
                'Fix: rename it, or set (foretell.v1.column) = "a".'
            ],
        ),
        (
            "double other = 1;",
            [
                "23: error: test.v1.Features.other matches no column of the model. Fix: remove it, or train the model with it.",
                NO_FIELD,
            ],
        ),
        (
            "In a = 1;",
            [
                "22: error: test.v1.In.x fills the column 'a.x', which the model does not have. "
                "Fix: remove it, or train the model with it.",
                NO_FIELD,
            ],
        ),
        (
            "repeated double v = 1 [(buf.validate.field).repeated = {min_items: 3, max_items: 3}];",
            [
                "23: error: test.v1.Features.v fills 'v[0]' and 2 more columns, which the model does not have. "
                "Fix: remove it, or train the model with it.",
                NO_FIELD,
            ],
        ),
        (
            "repeated double v = 1; map<string, double> m = 2;",
            [
                "23: error: test.v1.Features.v is a list without a fixed length, but each item is a column. "
                "Fix: set `repeated.min_items` and `repeated.max_items` to one number.",
                "23: error: test.v1.Features.m is a map with arbitrary keys, but each key is a column. "
                "Fix: list the keys in `map.keys.string.in`.",
            ],
        ),
    ],
)
def test_unmatched_fields_and_columns_are_refused(tmp_path: Path, field: str, messages: list[str]) -> None:
    assert errors(made(tmp_path, field), a=FLOAT64) == messages


@pytest.mark.parametrize(
    "rules",
    [
        "{gte: {seconds: 0}, lt_now: true}",
        "{gt: {seconds: -9}, lte: {seconds: 99}}",
        "{within: {seconds: 9}}",
        "{const: {seconds: 9}}",
    ],
)
def test_bounded_timestamp_fits_nanosecond_column(tmp_path: Path, rules: str) -> None:
    contract = made(tmp_path, f"google.protobuf.Timestamp a = 1 [(buf.validate.field).timestamp = {rules}];")
    assert reader(contract, a=Dtype("datetime64[ns]")).rows([]) is not None


def test_forbidden_enum_values_need_no_category(tmp_path: Path) -> None:
    field = "Color a = 1 [(buf.validate.field).enum = {defined_only: true, not_in: [0, 1]}];"
    assert reader(made(tmp_path, field), a=Dtype("category", ("blue",)))
