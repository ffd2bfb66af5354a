"""Names that a user states for classes and targets are held against the target columns of the data, where these show them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.tree import DecisionTreeClassifier

from foretell_contract.errors import SetupError
from tests.support.servers.drafted_models import init

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # As in the server.

FRAME = pd.DataFrame({"a": np.arange(60) % 6, "b": np.arange(60) / 60})


def codes(names: list[str]) -> tuple[Any, pd.DataFrame]:
    """A classifier of codes from 0, and data with their names."""
    found = FRAME.a.to_numpy() % len(names)
    return DecisionTreeClassifier(random_state=0).fit(FRAME, found), FRAME.assign(y=np.array(names)[found])


@pytest.mark.parametrize(
    ("names", "stated", "message"),
    [
        pytest.param(
            ["no", "yes"],
            "yes,no",
            "calls class 0 of the model 'yes', but most of its rows have 'no' in the column 'y': pass --labels no,yes",
            id="swapped",
        ),
        pytest.param(["low", "mid", "top"], "mid,top,low", "pass --labels low,mid,top", id="rotated"),
        pytest.param(["low", "mid", "top"], "low,top,mid", "class 1 of the model 'top', but most of its rows have 'mid'", id="end"),
        pytest.param(["No", "Yes"], "yes,no", "pass --labels no,yes", id="other-case"),
        pytest.param(["no", "yes"], "no,no", "--labels names 'no' twice: give each class a name of its own", id="twice"),
        pytest.param(["low", "mid", "top"], "low,mid,low", "--labels names 'low' twice", id="twice-of-three"),
    ],
)  # fmt: skip
def test_labels_in_another_order_are_refused(tmp_path: Path, names: list[str], stated: str, message: str) -> None:
    model, data = codes(names)
    data.to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(SetupError) as refusal:
        init(tmp_path, "coded", model, "--data", tmp_path / "data.csv", "--target", "y", "--labels", stated)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "protos").exists()


@pytest.mark.parametrize(
    ("names", "stated"),
    [
        pytest.param(["no", "yes"], "no,yes", id="right"),
        pytest.param(["no", "yes"], "stays,leaves", id="other-words"),
        pytest.param(["0", "1"], "no,yes", id="codes-in-the-data"),
    ],
)
def test_other_labels_are_taken(tmp_path: Path, names: list[str], stated: str) -> None:
    model, data = codes(names)
    data.to_csv(tmp_path / "data.csv", index=False)
    done = init(tmp_path, "coded", model, "--data", tmp_path / "data.csv", "--target", "y", "--labels", stated)
    assert done.exit_code == 0, done.output


def numbers() -> Any:
    goals = pd.DataFrame({"up": FRAME.a * 2.0 + FRAME.b, "down": -FRAME.a * 1.0})
    return LinearRegression().fit(FRAME, goals), goals


def classes() -> Any:
    goals = pd.DataFrame({"up": np.where(FRAME.a > 2, "p", "q"), "down": np.where(FRAME.b > 0.5, "p", "q")})
    return MultiOutputClassifier(DecisionTreeClassifier()).fit(FRAME, goals), goals


def three() -> Any:
    goals = pd.DataFrame({"up": FRAME.a * 2.0, "down": FRAME.b, "sum": FRAME.a - 3 * FRAME.b})
    return LinearRegression().fit(FRAME, goals), goals


@pytest.mark.parametrize(
    ("make", "stated", "right"),
    [(numbers, "down,up", "up,down"), (classes, "down,up", "up,down"), (three, "sum,up,down", "up,down,sum")],
)
def test_targets_in_another_order_are_refused(tmp_path: Path, make: Any, stated: str, right: str) -> None:
    model, goals = make()
    pd.concat([FRAME, goals], axis=1).to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(SetupError) as refusal:
        init(tmp_path, "several", model, "--data", tmp_path / "data.csv", "--target", stated)
    assert f"--target {stated} calls output 0 of the model" in str(refusal.value)
    assert str(refusal.value).endswith(f"pass --target {right}")
    assert init(tmp_path, "several", model, "--data", tmp_path / "data.csv", "--target", right).exit_code == 0
