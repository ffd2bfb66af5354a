"""Sentences that count: right for one, for several and for none."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner

from foretell.cli import app
from foretell.init.draft_features import PackageNames, draft_feature
from foretell_contract.source.spelling import Names, counted
from grpc_server.checks.training_columns import Column
from grpc_server.rows.mixed_rows import FLOAT64

ROWS = np.arange(12.0).reshape(6, 2)
SLIM = LinearRegression().fit(ROWS[:, :1], ROWS[:, 0])
ONE, THREE = LinearRegression().fit(ROWS, ROWS[:, 0]), LinearRegression().fit(ROWS, np.tile(ROWS[:, :1], 3))


@pytest.mark.parametrize(("number", "expected"), [(0, "0 columns"), (1, "1 column"), (2, "2 columns")])
def test_noun_follows_its_number(number: int, expected: str) -> None:
    assert counted(number, "column") == expected


@pytest.mark.parametrize(
    ("estimator", "arguments", "reason"),
    [
        (THREE, ["init", "--target", "a"], "m.joblib predicts 3 targets, but there are names for 1: a"),
        (THREE, ["add", "--columns", "x,y", "--targets", "a"], "m.joblib predicts 3 targets, but there are names for 1: a"),
        (ONE, ["add", "--columns", "x,y", "--targets", "a,b"], "m.joblib predicts 1 target, but there are names for 2: a, b"),
        (ONE, ["init", "--columns", "a"], "the model takes 2 columns, but there are names for 1: a"),
        (
            LinearRegression().fit(ROWS[:, :1], ROWS[:, 0]),
            ["add"],
            "its 1 column (it was fitted on a plain array): pass --columns a,b,c",
        ),
    ],
)
def test_refusal_counts_right(tmp_path: Path, estimator: Any, arguments: list[str], reason: str) -> None:
    joblib.dump(estimator, tmp_path / "m.joblib")
    given = [arguments[0], str(tmp_path / "m.joblib"), "--name", "m", *arguments[1:], "--models", str(tmp_path / "models")]
    done = CliRunner().invoke(app, [*given, "--protos", str(tmp_path)] if arguments[0] == "init" else given)
    assert str(done.exception).endswith(reason)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [((), " May be missing."), ((1.0, 2.0), " May be missing."), ((None, 2.0, None), " May be missing, as in 2 of 3 rows.")],
)
def test_comment_counts_gaps_that_exist(values: tuple[float | None, ...], sentence: str) -> None:
    line, _ = draft_feature(Column("x", FLOAT64, values, nullable=True), 1, Names(), PackageNames(), outliers=False)
    assert line.comment.endswith(sentence)
