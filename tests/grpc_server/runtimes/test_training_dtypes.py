"""Types of training columns from estimators, frames and golden rows, and what an estimator takes as input."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.rows.mixed_rows import Dtype
from grpc_server.runtimes.sklearn import data_frames
from grpc_server.runtimes.sklearn.training_dtypes import dtypes_of
from grpc_server.store.manifest import Manifest, read_manifest
from grpc_server.store.repository import Repository
from tests.support.fakes import MANIFEST

FRAME = pd.DataFrame(
    {
        "n": [1.0, 2.0, 3.0, 4.0] * 5,
        "city": ["a", "b", "a", "b"] * 5,
        "flag": [True, False, False, True] * 5,
        "kind": pd.Categorical(["x", "y", "y", "x"] * 5),
        "code": [1, 2, 2, 1] * 5,
    }
)
Y = np.array([0, 1, 1, 0] * 5)


def encoded(*steps: Any) -> Any:
    columns = ColumnTransformer([("t", make_pipeline(*steps), ["city"]), ("n", StandardScaler(), ["n"])])
    return make_pipeline(columns, LogisticRegression())


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (encoded(OneHotEncoder()), {"city": Dtype("object", ("a", "b"))}),
        (encoded(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), {"city": Dtype("object", ("a", "b"))}),
        (
            encoded(SimpleImputer(strategy="most_frequent", missing_values=None), OrdinalEncoder()),
            {"city": Dtype("object", ("a", "b"), "none")},
        ),
        (GridSearchCV(encoded(OneHotEncoder()), {}, cv=2), {"city": Dtype("object", ("a", "b"))}),
        (CalibratedClassifierCV(encoded(OneHotEncoder()), cv=2), {"city": Dtype("object", ("a", "b"))}),
        (
            make_pipeline(ColumnTransformer([("o", OrdinalEncoder(), ["city", "flag", "code"])]), LogisticRegression()),
            {"city": Dtype("object", ("a", "b")), "flag": Dtype("bool", (False, True)), "code": Dtype("float64", (1, 2))},
        ),
        (HistGradientBoostingClassifier(max_iter=2), {"kind": Dtype("category", ("x", "y"))}),
    ],
)
def test_types_come_from_encoders_and_imputers(estimator: Any, expected: Any) -> None:
    boosting = isinstance(estimator, HistGradientBoostingClassifier)
    frame = FRAME[["n", "kind"]] if boosting else FRAME
    found = dtypes_of(estimator.fit(frame, Y), tuple(frame.columns))
    assert found == expected


def test_types_come_from_a_data_frame() -> None:
    times = pd.DataFrame(
        {"at": pd.to_datetime(["2026-01-01"]).tz_localize("Europe/Zurich"), "took": pd.to_timedelta([3], unit="s")}
    )
    found = {str(name): data_frames.dtype_of(frame[name]) for frame in (FRAME, times) for name in frame.columns}
    assert {name: dtype.name.partition("[")[0] for name, dtype in found.items()} == {
        "n": "float64",
        "city": str(FRAME["city"].dtype),
        "flag": "bool",
        "kind": "category",
        "code": "int64",
        "at": "datetime64",
        "took": "timedelta64",
    }
    assert found["kind"].categories == ("x", "y")
    dtypes = tuple(found[name] for name in times.columns)
    rebuilt = data_frames.frame_conversion(list(times.columns), dtypes)(_rows(times, dtypes))
    pd.testing.assert_frame_equal(rebuilt, times)


def _rows(frame: Any, dtypes: Any) -> Any:
    from grpc_server.rows.mixed_rows import rows_from_columns

    values = [[value.value // 1000 for value in frame[name]] for name in frame.columns]
    return rows_from_columns(
        [[value * 1000 if dtype.unit == "ns" else value for value in each] for dtype, each in zip(dtypes, values, strict=True)],
        dtypes,
    )


def added(repository: Repository, tmp_path: Path, model: Any, golden: list[Any] | None = None, **options: Any) -> Manifest:
    joblib.dump(model, tmp_path / "model.joblib")
    lines = "\n".join(json.dumps(row) for row in golden or []).encode()
    version = add_model(repository, tmp_path / "model.joblib", "any", golden=lines, **options).version
    return repository.manifest("any", version)


def test_golden_rows_check_any_output(repository: Repository, tmp_path: Path) -> None:
    model = encoded(OneHotEncoder()).fit(FRAME[["city", "n"]], np.where(Y, "yes", "no"))
    (label,) = model.predict(FRAME[["city", "n"]][1:2]).tolist()
    other = {"yes": "no", "no": "yes"}[label]
    row = {"features": {"city": "b", "n": 2.0}, "outputs": {"label": label}}
    assert added(repository, tmp_path, model, [row]).dtypes == {"city": Dtype("object", ("a", "b"))}
    with pytest.raises(ModelMismatch, match=f"model.joblib gives the label '{label}' for golden row 1, expected '{other}'"):
        added(repository, tmp_path, model, [row | {"outputs": {"label": other}}])
    with pytest.raises(ModelMismatch, match=r"golden row 1: model.joblib gives no output 'lable'; did you mean \"label\"\?"):
        added(repository, tmp_path, model, [row | {"outputs": {"lable": "no"}}])
    with pytest.raises(ModelMismatch, match=r"gives a number as decision\.0 for golden row 1, expected 'much'; if the new"):
        added(repository, tmp_path, model, [row | {"outputs": {"decision.0": "much"}}])


def test_targets_are_named_or_numbered(repository: Repository, tmp_path: Path) -> None:
    model = RandomForestRegressor(3, bootstrap=False).fit(FRAME[["n", "code"]], np.column_stack((Y, Y)))
    assert [target.name for target in added(repository, tmp_path, model).targets] == ["0", "1"]
    manifest = added(
        repository, tmp_path, model, [{"features": {"n": 1, "code": 1}, "outputs": {"value.weight": 0}}], targets=("size", "weight")
    )
    assert [target.name for target in manifest.targets] == ["size", "weight"]
    with pytest.raises(ModelError, match=r"model.joblib predicts 2 targets, but there are names for 3: a, b, c"):
        added(repository, tmp_path, model, targets=("a", "b", "c"))


def test_manifest_of_an_earlier_release_is_read() -> None:
    old = MANIFEST.model_dump(mode="json", exclude={"dtypes", "targets"})
    assert read_manifest(json.dumps(old).encode(), "here") == MANIFEST


@pytest.mark.slow
def test_missing_pandas_is_named_in_one_line(tmp_path: Path) -> None:
    """In a process that cannot import pandas."""
    joblib.dump(encoded(OneHotEncoder()).fit(FRAME, Y), tmp_path / "model.joblib")
    code = """
import sys
sys.modules["pandas"] = None
from pathlib import Path
from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelError
from grpc_server.store.repository import Repository
try:
    add_model(Repository(Path(sys.argv[1]) / "models"), Path(sys.argv[1]) / "model.joblib", "any")
except ModelError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "the model takes a data frame, which needs pandas: pip install 'foretell[frames]'\n"


def test_estimator_of_numbers_takes_an_array() -> None:
    from grpc_server.runtimes.sklearn.estimator_input import input_conversion

    model = LinearRegression().fit(FRAME[["n", "code"]], Y)
    assert input_conversion(model, ("n", "code"), [Dtype(), Dtype()]) is None
