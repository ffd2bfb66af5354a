"""`foretell init` and `foretell add` as a user runs them: which models are accelerated, and the line that says so."""

import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from foretell.cli import app
from grpc_server.checks.add_model import add_model
from grpc_server.store.repository import Repository
from tests.grpc_server.checks.test_without_originals import run_without
from tests.support.servers.drafted_models import answers_by_both_doors, serving_drafts

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(0)
ROWS = pd.DataFrame({"a": RANDOM.normal(size=300).round(2), "b": RANDOM.normal(size=300), "count": RANDOM.integers(0, 9, 300)})
LABELS = np.where(ROWS.a + RANDOM.normal(size=300) > 0, "high", "low")
VALUES = ROWS.a * 10 + ROWS.b

ACCELERATED: dict[str, Any] = {
    "boosting": HistGradientBoostingClassifier(max_iter=30).fit(ROWS, LABELS),
    "forest": RandomForestClassifier(60, random_state=0).fit(ROWS, LABELS),
    "values": RandomForestRegressor(60, random_state=0).fit(ROWS, VALUES),
}
NOT_ACCELERATED: dict[str, Any] = {
    "cheap": LogisticRegression().fit(ROWS, LABELS),
    "kernel": KernelRidge(kernel="rbf").fit(ROWS, VALUES),
    "scaled": make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)).fit(ROWS, LABELS),
}
LINE = r"accelerated: (onnx|trees) answers a row [\d.]+x as fast, 64 rows [\d.]+x, and agrees on \d,\d{3} rows; --accelerate no .*"


def files(root: Path, name: str) -> list[str]:
    """The model's file, and the arguments that `foretell init` takes for it."""
    model = (ACCELERATED | NOT_ACCELERATED)[name]
    joblib.dump(model, root / f"{name}.joblib")
    ROWS.assign(target=LABELS if hasattr(model, "classes_") else VALUES).to_csv(root / f"{name}.csv", index=False)
    folders = ["--protos", str(root / "protos"), "--models", str(root / "models")]
    return [str(root / f"{name}.joblib"), "--data", str(root / f"{name}.csv"), "--target", "target", *folders]


def printed(*arguments: str) -> list[str]:
    """The lines of a command on acceleration."""
    with threadpool_limits(1):
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return acceleration_lines(done.output)


def acceleration_lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(("accelerated:", "not accelerated:"))]


def test_accelerated_drafts_answer_as_their_estimators(tmp_path: Path) -> None:
    for name in ACCELERATED:
        (line,) = printed("init", *files(tmp_path, name))
        found = re.fullmatch(LINE, line)
        assert found
        manifest = Repository(tmp_path / "models").read(name, "1").manifest
        assert (manifest.format, manifest.original) == (found[1], "model.joblib")
        assert name != "boosting" or found[1] == "trees"
    rows: Any = ROWS.head(60).to_dict("records")
    with serving_drafts(tmp_path) as server:
        for name, model in ACCELERATED.items():
            answers = answers_by_both_doors(server, name, rows)
            if name == "values":
                assert [next(iter(answer.values())) for answer in answers] == pytest.approx(
                    model.predict(ROWS.head(60)), rel=1e-6, abs=1e-6
                )
                continue
            assert [answer["target"].removeprefix("TARGET_").lower() for answer in answers] == model.predict(ROWS.head(60)).tolist()
            given = [[answer["high_probability"], answer["low_probability"]] for answer in answers]
            assert np.abs(given - model.predict_proba(ROWS.head(60))).max() <= 1e-6


@pytest.mark.parametrize("name", NOT_ACCELERATED)
def test_nothing_is_said_where_nothing_is_gained(tmp_path: Path, name: str) -> None:
    assert printed("init", *files(tmp_path, name)) == []
    assert Repository(tmp_path / "models").read(name, "1").manifest.original is None


def test_no_keeps_the_estimator(tmp_path: Path) -> None:
    assert printed("init", *files(tmp_path, "boosting"), "--accelerate", "no") == []
    file, _, data, *_, protos, _, models = files(tmp_path, "boosting")
    add = ("add", file, "--name", "boosting", "--data", data, "--protos", protos, "--models", models)
    assert printed(*add, "--accelerate", "no") == []
    assert [Repository(tmp_path / "models").read("boosting", version).manifest.format for version in ("1", "2")] == ["joblib"] * 2
    (line,) = printed(*add)
    assert line.startswith("accelerated: trees ")


def test_columns_without_bounds_need_the_option(tmp_path: Path) -> None:
    file, *_ = files(tmp_path, "boosting")
    folders = ("--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models"))
    assert printed("init", file, *folders) == []
    (line,) = printed("init", file, *folders, "--accelerate", "auto")
    assert line == "not accelerated: the column 'a' has no range: bound it in the contract (--protos), or pass --golden"


def test_training_rows_are_compared(tmp_path: Path) -> None:
    """The rows of the data are compared, which random rows within the bounds miss."""
    (line,) = printed("init", *files(tmp_path, "boosting"))
    without = re.search(r"on ([\d,]+) rows", line)
    file, _, _, *_, protos, _, models = files(tmp_path, "boosting")
    golden = (tmp_path / "models/boosting/1/golden.jsonl").read_text()
    (tmp_path / "golden.jsonl").write_text(golden)
    bounded = (
        "add",
        file,
        "--name",
        "boosting",
        "--protos",
        protos,
        "--models",
        models,
        "--golden",
        str(tmp_path / "golden.jsonl"),
    )
    (line,) = printed(*bounded)
    with_data = re.search(r"on ([\d,]+) rows", line)
    assert without
    assert with_data
    assert int(without[1].replace(",", "")) - int(with_data[1].replace(",", "")) == len(ROWS)


@pytest.mark.parametrize(
    ("name", "line"), [("boosting", "pip install 'foretell[fast]' may make it faster"), ("kernel", ""), ("cheap", "")]
)
def test_missing_libraries_are_named_where_they_would_gain(tmp_path: Path, name: str, line: str) -> None:
    done = run_without(("onnxruntime", "skl2onnx", "treelite"), "foretell", "init", *files(tmp_path, name))
    assert done.returncode == 0, done.stderr
    assert acceleration_lines(done.stdout) == ([f"not accelerated: {line}"] if line else [])


def test_function_adds_the_model_as_it_is(tmp_path: Path) -> None:
    file, *_ = files(tmp_path, "boosting")
    assert add_model(Repository(tmp_path / "models"), Path(file), "boosting").acceleration == ""


class Gradient(GradientBoostingRegressor):
    """Of a class that no converter knows."""


def test_foreign_class_is_left_as_it_is(tmp_path: Path) -> None:
    joblib.dump(Gradient(n_estimators=5).fit(ROWS, VALUES), tmp_path / "own.joblib")
    _, *options = files(tmp_path, "values")
    assert printed("init", str(tmp_path / "own.joblib"), *options) == []
