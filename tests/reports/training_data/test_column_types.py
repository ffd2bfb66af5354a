"""The type of a training column reaches the estimator: answers are its own, for every type of pandas and Arrow."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from typer.testing import CliRunner

from foretell.cli import app
from foretell_contract.contract import load
from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.rows.feature_reader import FeatureReader
from grpc_server.rows.mixed_rows import Dtype, Table, concatenate, rows_from_columns
from grpc_server.runtimes.sklearn.data_frames import dtype_of, frame_conversion
from grpc_server.runtimes.sklearn.training_dtypes import dtypes_of
from grpc_server.store.manifest import golden_dtype
from grpc_server.store.repository import Repository
from tests.support.models.estimator_case import HEAD
from tests.support.servers.drafted_models import answers_by_both_doors, draft, init, serving_drafts
from tests.support.servers.many_models import BridgedServer

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

BIG = 2**53
DAYS = [dt.date(2026, 1, 31), dt.date(2026, 2, 1), dt.date(1999, 12, 31)]
ROWS = 30


def days_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Fails on anything but dates."""
    return pd.DataFrame({"day": [day.toordinal() if type(day) is dt.date else 1 / 0 for day in frame["x"]]})


def halves_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Fails on floats, as integers are meant."""
    return pd.DataFrame({"half": frame["x"] & 1, "type": [frame["x"].dtype.itemsize] * len(frame)})


def last_digits_of(rows: Any) -> Any:
    """Differs for neighbouring integers."""
    first = rows["x"] if isinstance(rows, pd.DataFrame) else rows[:, 0]
    return np.asarray(first, object).reshape(-1, 1) % 10


def encoder() -> Any:
    return make_pipeline(make_column_transformer((OneHotEncoder(), ["x"]), remainder="passthrough"), Ridge())


def of(function: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: make_pipeline(FunctionTransformer(function), Ridge())


CASES: dict[str, tuple[Any, Any, Callable[[], Any]]] = {
    # manmartgarc/stochatreat#38, SauersML/gam#4221: identifiers beyond 2**53 are rounded to another one.
    "int64": ([BIG + 1, BIG + 2, 2**63 - 1], "int64", encoder),
    "negative": ([-BIG - 1, -BIG - 2, -(2**63)], "int64", encoder),
    "uint64": ([2**63 + 1, 2**63 + 3, 2**64 - 1], "uint64", encoder),
    "int8": ([1, -128, 127], "int8", of(halves_of)),
    "uint16": ([1, 2, 65535], "uint16", of(halves_of)),
    "int32": ([1, -2, 2**31 - 1], "int32", of(halves_of)),
    "float32": ([0.1, 0.7, 0.3], "float32", encoder),
    "plain_ids": ([BIG + 1, BIG + 2, 2**62 + 1], "int64", of(last_digits_of)),
    "mixed_uint64": ([1, 2**63 + 1, 2**64 - 1], "uint64", encoder),
    "nullable_int": ([1, 2, BIG + 1], "Int64", of(halves_of)),
    "nullable_bool": ([True, False, True], "boolean", encoder),
    "bool": ([True, False, False], "bool", encoder),
    "string": (["a", "b", "NA"], "string", encoder),
    "str": (["a", "01", "1"], "str", encoder),
    "category": (["x", "y", "z"], "category", encoder),
    "numbered_category": ([10, 20, 30], "category", encoder),
    "arrow_int": ([BIG + 1, BIG + 2, 7], pd.ArrowDtype(pa.int64()), encoder),
    "arrow_text": (["x", "y", "z"], pd.ArrowDtype(pa.string()), encoder),
    "date": (DAYS, object, of(days_of)),
}
"""Values, their type in the data, and an estimator that notices another type."""


def frame_of(name: str) -> pd.DataFrame:
    values, dtype, _ = CASES[name]
    x = pd.Series([values[row % len(values)] for row in range(ROWS)]).astype(dtype)
    return pd.DataFrame({"x": x, "noise": np.arange(ROWS) % 7 / 7})


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    models = {name: make() for name, (_, _, make) in CASES.items()}
    return {name: model.fit(frame_of(name), np.arange(ROWS) % 3 + 0.25) for name, model in models.items()}


def in_json(server: BridgedServer, name: str, value: Any) -> Any:
    field = server.methods[f"{name}.Predict"].features.fields_by_name["x"]
    if field.enum_type is not None:
        labels = {server.contract.options.get(each, "foretell.v1.label") or each.name.rpartition("_")[2].lower(): each.name
                  for each in field.enum_type.values}  # fmt: skip
        return labels[str(value)]
    return f"{value.isoformat()}T00:00:00Z" if isinstance(value, dt.date) else value


@pytest.fixture(scope="module")
def server(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("types")
    for name in CASES:
        frame_of(name).to_parquet(root / "data.parquet")
        draft(root, name, models[name], "--data", root / "data.parquet")
    with serving_drafts(root) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_answers_are_the_estimators(server: BridgedServer, models: dict[str, Any], name: str) -> None:
    frame, values = frame_of(name), CASES[name][0]
    given = [in_json(server, name, values[row % len(values)]) for row in range(6)]
    rows = [{"x": x, "noise": float(noise)} for x, noise in zip(given, frame.noise, strict=False)]
    answers = [answer["value"] for answer in answers_by_both_doors(server, name, rows)]
    assert answers == pytest.approx(models[name].predict(frame)[:6].tolist(), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["int64", "negative", "uint64"])
def test_golden_rows_hold_integers_exactly(models: dict[str, Any], tmp_path: Path, name: str) -> None:
    frame_of(name).to_csv(tmp_path / "data.csv", index=False)
    done = init(tmp_path, name, models[name], "--data", tmp_path / "data.csv")
    assert done.exit_code == 0, done.output
    golden = (tmp_path / f"models/{name}/1/golden.jsonl").read_text().splitlines()
    assert {json.loads(line)["features"]["x"] for line in golden} == set(CASES[name][0])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([1, 2], dtype="Int8"), "Int8"),
        (pd.Series([1, 2], dtype="UInt64"), "UInt64"),
        (pd.Series([1.5, None], dtype="Float32"), "Float32"),
        (pd.Series([True, None], dtype="boolean"), "boolean"),
        (pd.Series([True, None], dtype=object), "bool"),
        (pd.Series([1, None], dtype=object), "int64"),
        (pd.Series([Decimal("1.5"), None], dtype=object), "float64"),
        (pd.Series(DAYS, dtype=object), "date"),
        (pd.Series(["a", None], dtype=object), "object"),
        (pd.Series(["a", None], dtype="string"), "string"),
        (pd.Series([1, 2], dtype=pd.ArrowDtype(pa.uint8())), "UInt8"),
        (pd.Series([1.5], dtype=pd.ArrowDtype(pa.float32())), "Float32"),
        (pd.Series([True], dtype=pd.ArrowDtype(pa.bool_())), "boolean"),
        (pd.Series(["a"], dtype=pd.ArrowDtype(pa.string())), "object"),
        (pd.Series(DAYS, dtype=pd.ArrowDtype(pa.date32())), "date"),
        (pd.Series([Decimal("1.5")], dtype=pd.ArrowDtype(pa.decimal128(5, 2))), "float64"),
        (pd.Series([dt.datetime(2026, 1, 1)], dtype=pd.ArrowDtype(pa.timestamp("us"))), "datetime64[us]"),
        (pd.Series(["a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))), "object"),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, pd.Series) else value,
)
def test_type_of_a_column(column: pd.Series, expected: str) -> None:
    assert dtype_of(column).name == expected


@pytest.mark.parametrize(
    "values", [[dt.time(12)], [b"x"], [{"a": 1}], ["a", 1], [1j], [pd.Interval(0, 1)]], ids=lambda values: type(values[0]).__name__
)
def test_column_that_no_feature_can_be_is_refused(values: list[Any]) -> None:
    with pytest.raises(ValueError, match="is not a column type"):
        dtype_of(pd.Series(values, dtype=object))


@pytest.mark.parametrize(
    ("dtype", "sent", "expected"),
    [
        ("int8", [300, 1], "int64"),  # Not 44.
        ("uint8", [-1, 1], "int64"),  # Not 255.
        ("int64", [1.5, 2.0], "float64"),  # Not 1.
        ("int64", [1.0, 2.0], "int64"),
        ("bool", [2, 0], "int64"),  # Not True.
        ("Int8", [300, None], "float64"),
        ("Int64", [BIG + 1, None], "Int64"),
        ("int64", [BIG + 1, None], "object"),
        ("int64", [1, None], "float64"),
        ("boolean", [True, None], "boolean"),
        ("float32", [0.7, None], "float32"),
    ],
)
def test_values_that_a_type_does_not_hold_keep_their_own(dtype: str, sent: list[Any], expected: str) -> None:
    (column,) = (frame_conversion(["x"], [Dtype(dtype)])(rows_from_columns([sent], [Dtype(dtype)]))[name] for name in ["x"])
    assert column.dtype == expected
    kept = [None if pd.isna(value) else value for value in column.tolist()]
    assert kept == (np.float32(sent[0]), None) or kept == [None if each is None else pytest.approx(each, rel=1e-7) for each in sent]


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        ([1, 2], "float64"),  # A matrix of float64 holds them exactly.
        ([BIG + 1, 2], "int64"),
        ([-BIG - 1, 2], "int64"),
        (np.array([2**63, 2], np.uint64), "uint64"),
        (np.array([0.1, 0.7], np.float32), "float32"),
        ([0.1, 0.7], "float64"),
        (np.array([True, False]), "bool"),
        (np.array(["1", "2"], object), "object"),
    ],
)
def test_categories_are_compared_in_the_type_of_their_column(categories: Any, expected: str) -> None:
    encoder = OneHotEncoder().fit(np.array(categories).reshape(-1, 1))
    assert dtypes_of(encoder, ["x"])["x"].name == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2.5], "float64"), ([BIG + 1, None], "int64"), ([2**63, 1], "uint64"), (["1"], "object"), ([True], "float64")],
)
def test_golden_rows_show_integers_beyond_float64(values: list[Any], expected: str) -> None:
    assert golden_dtype(values).name == expected


def test_encoder_of_decimals_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [Decimal("0.1"), Decimal("0.2")] * 10, "noise": 0.5})
    frame.to_parquet(tmp_path / "data.parquet")
    with pytest.raises(ModelError, match="an encoder of the column 'x' was fitted on decimals, which no field carries exactly"):
        init(tmp_path, "prices", encoder().fit(frame, np.arange(20)), "--data", tmp_path / "data.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["int64", "int8", "float32", "nullable_int", "date"])
def test_add_takes_types_from_the_data(models: dict[str, Any], tmp_path: Path, name: str) -> None:
    frame_of(name).to_parquet(tmp_path / "data.parquet")
    joblib.dump(models[name], tmp_path / "m.joblib")
    folders = ["--models", tmp_path / "models", "--data", tmp_path / "data.parquet"]
    done = CliRunner().invoke(app, list(map(str, ["add", tmp_path / "m.joblib", "--name", "m", *folders])), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    types = Repository(tmp_path / "models").read("m", "1").manifest.dtypes
    assert types["x"].name == ("date" if name == "date" else str(frame_of(name).x.dtype))


@pytest.mark.parametrize("estimator", [OneHotEncoder(), make_column_transformer((OneHotEncoder(), [0]), remainder="passthrough")])
def test_array_of_wide_integers_is_compared_exactly(tmp_path: Path, estimator: Any) -> None:
    """An estimator that was fitted on an array knows no names, but its categories."""
    ids = np.array([BIG + 1, BIG + 2, 2**63 - 1] * 10)
    array = np.column_stack([ids, np.arange(30)])
    model = make_pipeline(estimator, Ridge()).fit(array, np.arange(30) % 3)
    repository = Repository(tmp_path / "models")
    joblib.dump(model, tmp_path / "m.joblib")
    golden = [
        {"features": {"a": int(a), "b": int(b)}, "outputs": {"value": float(value)}}
        for (a, b), value in zip(array[:6], model.predict(array[:6]), strict=True)
    ]
    add_model(repository, tmp_path / "m.joblib", "m", ("a", "b"), "\n".join(map(json.dumps, golden)).encode())
    assert repository.read("m", "1").manifest.dtypes["a"].name == "int64"


def array_ids() -> Any:
    return np.column_stack([[BIG + 1, BIG + 2, 2**62 + 1] * 10, np.arange(30)])


@pytest.mark.parametrize("declared", ["double", "float", "int64"])
@pytest.mark.parametrize("fit_on", ["frame", "array"])
@pytest.mark.parametrize("shown_by", ["--data", "--golden"])
def test_field_that_rounds_ids_without_an_encoder_is_refused(tmp_path: Path, fit_on: str, declared: str, shown_by: str) -> None:
    """manmartgarc/stochatreat#38: the estimator would be given another id."""
    frame = pd.DataFrame(array_ids(), columns=["x", "b"])
    model = make_pipeline(FunctionTransformer(last_digits_of), Ridge()).fit(frame if fit_on == "frame" else array_ids(), frame.b)
    joblib.dump(model, tmp_path / "m.joblib")
    frame.to_csv(tmp_path / "data.csv", index=False)
    row = {"features": {"x": BIG + 1, "b": 0}, "outputs": {"value": float(model.predict(array_ids()[:1])[0])}}
    (tmp_path / "golden.jsonl").write_text(json.dumps(row))
    (tmp_path / "protos/ids").mkdir(parents=True)
    message = f"message Features {{ {declared} x = 1; double b = 2; }} message Response {{ double value = 1; }}"
    (tmp_path / "protos/ids/ids.proto").write_text(HEAD.replace("{package}", "ids") + message)
    shown = tmp_path / ("data.csv" if shown_by == "--data" else "golden.jsonl")
    folders = ["--protos", tmp_path / "protos", "--models", tmp_path / "models", shown_by, shown, "--columns", "x,b"]
    done = CliRunner().invoke(app, list(map(str, ["add", tmp_path / "m.joblib", "--name", "ids", *folders])))
    if declared == "int64":
        assert done.exit_code == 0, done.exception
    else:
        assert "x is a double or a float, which rounds integers such as those of the model's column 'x'" in str(done.exception)


@pytest.mark.parametrize(
    ("dtype", "batches", "held"),
    [
        ("int64", ([BIG + 1], [None]), "object"),
        ("int64", ([BIG + 1], [1, None], [3]), "object"),
        ("int64", ([BIG + 1], [0.5]), "object"),
        ("int64", ([BIG + 1, 0.5],), "object"),
        ("uint64", ([1, 2**63 + 1],), "uint64"),
        ("uint64", ([1], [2**63 + 1]), "uint64"),
        ("uint64", ([-1, 2**63 + 1],), "object"),
        ("int64", ([1], [None]), "float64"),
        ("int64", ([1], [0.5]), "float64"),
        ("bool", ([True], [2**62 + 1]), "int64"),
    ],
)
def test_neighbours_round_no_integer(dtype: str, batches: tuple[list[Any], ...], held: str) -> None:
    """numpy/numpy#14883, pandas-dev/pandas#34356: integers that one type does not hold become float64 together."""
    tables = [Table((Dtype(dtype).array(batch),)) for batch in batches]
    (column,) = concatenate(tables).columns
    assert column.dtype == held
    sent = [value for batch in batches for value in batch]
    assert [None if value != value else value for value in column.tolist()] == sent


@pytest.mark.parametrize("beside", [[None], [0.5], [BIG + 2, None]])
def test_answer_to_a_wide_integer_is_the_same_beside_others(beside: list[Any]) -> None:
    ids = pd.DataFrame({"x": array_ids()[:, 0]})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(ids, np.arange(30) % 3)
    dtype = Dtype("int64", (BIG + 1, BIG + 2, 2**62 + 1))
    alone, others = (Table((dtype.array(values),)) for values in ([BIG + 1], beside))
    convert = frame_conversion(["x"], [dtype])
    together = model.predict(convert(concatenate([alone, others])))
    assert together[0] == model.predict(convert(alone))[0]


@pytest.mark.parametrize(
    ("declared", "categories", "fix"),
    [
        ("double", (BIG + 1, 7), "declare it as int64"),
        ("float", (-BIG - 1,), "declare it as int64"),
        ("double", (2**64 - 1,), "declare it as uint64"),
        ("int64", (BIG + 1,), ""),
        ("double", (BIG, 7), ""),
        ("double", (0.5, 1e300), ""),
    ],
)
def test_field_that_rounds_categories_is_refused(tmp_path: Path, declared: str, categories: tuple[Any, ...], fix: str) -> None:
    (tmp_path / "wide").mkdir()
    message = f"message Features {{ {declared} x = 1; }} message Response {{ double value = 1; }}"
    (tmp_path / "wide" / "wide.proto").write_text(HEAD.replace("{package}", "wide") + message)
    contract = load(tmp_path)
    features, dtype = contract.services[0].methods[0].features, Dtype("int64", categories)
    if not fix:
        FeatureReader(contract, features, ["x"], [dtype])
        return
    with pytest.raises(ModelMismatch, match=f"x is a double or a float, which rounds integers .*; {fix}"):
        FeatureReader(contract, features, ["x"], [dtype])
