"""`init` and `add` refuse a model whose answers to its training data no caller could use, and say what is wrong with which."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from typer.testing import CliRunner

from foretell.cli import app
from foretell_contract.errors import SetupError
from grpc_server.store.repository import Repository
from tests.support.models.faulty import Sigmoid, Unfinished
from tests.support.processes import ROOT
from tests.support.servers.drafted_models import init, refusal

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

X = np.random.default_rng(0).normal(size=(240, 2))
Y = np.where(X[:, 0] > 0, "yes", "no")
FRAME = pd.DataFrame(X, columns=["a", "b"]).assign(y=Y)

SHAPE = ": return one row for each row, with a column for each class or target"
LEAVE_OUT = ": mend the model, or leave such rows out of the data"

NO_PROBABILITY = "but a probability is a number from 0 to 1"

FAULTS = {
    "three": f"Sigmoid.predict_proba gives an array of shape (1, 3) for 1 row, expected (1, 2){SHAPE}",
    "one": f"Sigmoid.predict_proba gives an array of shape (1, 1) for 1 row, expected (1, 2){SHAPE}",
    "flat": f"Sigmoid.predict_proba gives an array of shape (1,) for 1 row, expected (1, 2){SHAPE}",
    "deep": f"Sigmoid.predict_proba gives an array of shape (1, 2, 1) for 1 row, expected (1, 2){SHAPE}",
    "short": f"Sigmoid.predict_proba gives an array of shape (0, 2) for 1 row, expected (1, 2){SHAPE}",
    # scikit-learn#26782: a classifier that does not know says NaN.
    "nan": f"gives nan as probability.no for row 136 of the data (2 of 240 rows), {NO_PROBABILITY}{LEAVE_OUT}",
    "infinite": "gives inf as probability.no for row 136 of the data (2 of 240 rows), but a probability",
    # LightGBM#198, LightGBM#6389: margins are no probabilities.
    "beyond": f"as probability.no for row 5 of the data (70 of 240 rows), {NO_PROBABILITY}",
    "negative": f"as probability.no for row 4 of the data (43 of 240 rows), {NO_PROBABILITY}",
    "swapped": "gives 'yes' the highest probability in every row of the data that it labels 'no': return the columns of",
    "label": "Sigmoid.predict gives 'other', which is none of its classes 'no', 'yes': return elements of classes_ there",
    # LightGBM#4629: with a custom objective, predict gives margins.
    "margin": ", which is none of its classes 'no', 'yes': return elements of classes_ there",
}


def refusals(root: Path, estimator: Any, data: Path) -> tuple[str, str]:
    """The lines in which `init` and `add` refuse an estimator."""
    target = ("--target", "y") if "y" in data.read_text().splitlines()[0] else ()
    by_init = refusal(root, "m", estimator, "--data", data, *target)
    protos = root / "protos" if (root / "protos/m").exists() else ROOT / "protos"
    folders = ["--columns", "a,b", "--protos", str(protos), "--models", str(root / "models")]
    done = CliRunner().invoke(app, ["add", str(root / "m.joblib"), "--name", "m", "--data", str(data), *folders])
    assert isinstance(done.exception, SetupError)
    return by_init, str(done.exception)


def data(root: Path, frame: pd.DataFrame = FRAME) -> Path:
    frame.to_csv(root / "data.csv", index=False)
    return root / "data.csv"


@pytest.mark.parametrize(("fault", "message"), FAULTS.items(), ids=FAULTS)
def test_faulty_probabilities_are_refused(tmp_path: Path, fault: str, message: str) -> None:
    for refused in refusals(tmp_path, Sigmoid(fault).fit(X, Y), data(tmp_path)):
        assert message in refused
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("infinite", "gives inf as value for row 136 of the data (2 of 240 rows), but an answer is a finite number"),
        ("raise", "cannot answer row 136 of the data (ArithmeticError: too large): mend the model"),
    ],
)
def test_rows_without_a_number_are_named(tmp_path: Path, fault: str, message: str) -> None:
    file = data(tmp_path, FRAME[["a", "b"]])
    for refused in refusals(tmp_path, Unfinished(fault).fit(X, X[:, 0]), file):
        assert message in refused


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "note"),
    [
        (LogisticRegression(), ""),
        (RandomForestClassifier(5, random_state=0), ""),
        # Labels by a threshold of one's own are no fault; the author learns of them.
        (Sigmoid("threshold"), r"note: the label, from predict, is not the likeliest class of predict_proba in \d+ of 240 rows"),
        (
            FixedThresholdClassifier(LogisticRegression(), threshold=0.1, pos_label="yes"),
            r"note: the label, from predict, .* of 240",
        ),
    ],
    ids=["logistic", "forest", "own", "threshold"],
)
def test_sound_answers_pass(tmp_path: Path, model: BaseEstimator, note: str) -> None:
    done = init(tmp_path, "m", model.fit(X, Y), "--data", data(tmp_path), "--target", "y")
    assert done.exit_code == 0, done.exception
    assert re.search(note, done.output) if note else "note:" not in done.output


@pytest.mark.slow
def test_rules_of_the_response_hold_for_the_data(tmp_path: Path) -> None:
    model, file = LogisticRegression().fit(X, Y), data(tmp_path)
    assert init(tmp_path, "m", model, "--data", file, "--target", "y").exit_code == 0
    contract = tmp_path / "protos/m/v1/m.proto"
    contract.write_text(re.sub(r"(double no_probability(?s:.)*?double.lte) = 1,", r"\1 = 0.9,", contract.read_text()))
    for message in refusals(tmp_path, model, file):
        assert re.search(r"to row \d+ of the data breaks m.v1.Response.no_probability: must be", message)
    assert Repository(tmp_path / "models").versions("m") == ["1"]


def test_rows_that_the_contract_refuses_are_not_asked(tmp_path: Path) -> None:
    """The column is required, since the model fails on a missing value."""
    file = data(tmp_path, FRAME.assign(b=FRAME.b.where(FRAME.index % 9 > 0)))
    done = init(tmp_path, "m", LogisticRegression().fit(X, Y), "--data", file, "--target", "y")
    assert done.exit_code == 0, done.exception
    assert "'b' is required" in done.output
