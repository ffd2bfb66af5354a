"""`foretell init --data` without `--target`: the target is a column of the data only if that is certain."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from tests.support.servers.drafted_models import init, refusal

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # As in the server.

FRAME = pd.DataFrame({"a": np.arange(60) % 6, "b": np.arange(60) / 60})
NAMES = np.where(FRAME.a > 2, "p", "q")
NUMBERS = FRAME.a * 2.0 + FRAME.b


def classifier(classes: Any = NAMES) -> Any:
    return DecisionTreeClassifier(random_state=0).fit(FRAME, classes)


def regressor(goals: Any = NUMBERS) -> Any:
    return LinearRegression().fit(FRAME, goals)


def drafted(root: Path, estimator: Any, frame: pd.DataFrame, *arguments: str) -> tuple[str, str]:
    """What `init` prints, and the contract."""
    frame.to_csv(root / "data.csv", index=False)
    done = init(root, "m", estimator, "--data", root / "data.csv", *arguments)
    assert done.exit_code == 0, done.output
    return done.output, (root / "protos/m/v1/m.proto").read_text()


@pytest.mark.parametrize(
    ("estimator", "values", "shown"),
    [
        pytest.param(classifier(), NAMES, "Grade grade = 1", id="texts"),
        pytest.param(classifier(FRAME.a), FRAME.a, "grade = 1", id="numbers-of-a-classifier"),
        pytest.param(classifier(FRAME.a > 2), FRAME.a > 2, "grade = 1", id="true-or-false"),
        pytest.param(classifier(), ["p"] * 60, "Grade grade = 1", id="one-of-the-classes"),
        pytest.param(regressor(), NUMBERS, "// The grade that the model predicts.", id="regressor"),
        pytest.param(regressor(), FRAME.a, "// The grade that the model predicts.", id="whole-numbers-of-a-regressor"),
    ],
)
def test_certain_target_is_said_and_names_the_field(tmp_path: Path, estimator: Any, values: Any, shown: str) -> None:
    printed, contract = drafted(tmp_path, estimator, FRAME.assign(grade=values))
    assert "note: the target is 'grade', the only column that is no feature\n" in printed
    assert "left out" not in printed
    assert shown in contract


@pytest.mark.parametrize(
    ("estimator", "columns"),
    [
        pytest.param(classifier(), {"grade": np.where(FRAME.a > 2, "p", "x")}, id="foreign-class"),
        pytest.param(classifier(), {"grade": NUMBERS}, id="numbers-for-texts"),
        pytest.param(classifier(), {"grade": np.where(FRAME.a > 4, None, NAMES)}, id="gap-among-classes"),
        pytest.param(classifier(), {"grade": NAMES, "copy": NAMES}, id="two-columns"),
        pytest.param(regressor(), {"grade": NAMES}, id="texts-for-a-regressor"),
        pytest.param(regressor(), {"grade": NUMBERS.where(FRAME.a > 0)}, id="gap-among-numbers"),
        pytest.param(regressor(), {"grade": FRAME.a > 2}, id="true-or-false-for-a-regressor"),
        pytest.param(regressor(np.c_[NUMBERS, -NUMBERS]), {"grade": NUMBERS}, id="two-targets"),
        pytest.param(KMeans(2, random_state=0, n_init=1).fit(FRAME), {"grade": NUMBERS}, id="clusterer"),
        pytest.param(IsolationForest(n_estimators=10, random_state=0).fit(FRAME), {"grade": FRAME.a}, id="outlier-detector"),
    ],
)
def test_uncertain_column_is_left_out(tmp_path: Path, estimator: Any, columns: dict[str, Any]) -> None:
    printed, contract = drafted(tmp_path, estimator, FRAME.assign(**columns))
    assert f"note: the model takes no {', '.join(columns)} of data.csv: left out\n" in printed
    assert "the target is" not in printed
    assert " grade = " not in contract


def test_stated_columns_make_it_certain(tmp_path: Path) -> None:
    estimator = DecisionTreeClassifier(random_state=0).fit(FRAME.to_numpy(), NAMES)
    printed, contract = drafted(tmp_path, estimator, FRAME.assign(grade=NAMES), "--columns", "a,b")
    assert "note: the target is 'grade'" in printed
    assert "Grade grade = 1" in contract


def test_model_without_columns_asks_as_before(tmp_path: Path) -> None:
    FRAME.assign(grade=NAMES).to_csv(tmp_path / "data.csv", index=False)
    estimator = DecisionTreeClassifier(random_state=0).fit(FRAME.to_numpy(), NAMES)
    assert refusal(tmp_path, "m", estimator, "--data", tmp_path / "data.csv") == (
        "data.csv has 3 columns, but the model takes 2 and does not name them: pass --target grade, which holds its classes"
    )


def test_stated_target_is_taken_without_a_word(tmp_path: Path) -> None:
    printed, contract = drafted(tmp_path, classifier(), FRAME.assign(grade=NAMES), "--target", "grade")
    assert "the target is" not in printed
    assert "Grade grade = 1" in contract
