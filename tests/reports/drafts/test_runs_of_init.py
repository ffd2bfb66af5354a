"""`foretell init` runs the estimator a bounded number of times, however slow one run is."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.support.servers.drafted_models import init

RUNS: list[int] = []
"""Rows of each run."""


class CountedClassifier(LogisticRegression):  # type: ignore[misc]  # scikit-learn is not typed.
    """Counts the runs for labels and for probabilities."""

    def decision_function(self, rows: Any) -> Any:
        RUNS.append(len(rows) if isinstance(rows, np.ndarray) else rows.shape[0])
        return super().decision_function(rows)


class CountedRegressor(LinearRegression):  # type: ignore[misc]  # As above.
    """Counts its runs."""

    def predict(self, rows: Any) -> Any:
        RUNS.append(len(rows))
        return super().predict(rows)


NUMBERS = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)).round(3), columns=list("abcd"))
TEXTS = pd.DataFrame({"text": ["good film", "bad film", "great plot", "awful plot", "fine", "poor"] * 10})
CLASSES = pd.Series(["yes", "no"] * 30)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize(
    ("model", "frame", "target", "most"),
    [
        pytest.param(CountedRegressor(), NUMBERS, NUMBERS.a * 2, 40, id="regressor"),
        pytest.param(CountedClassifier(), NUMBERS, CLASSES, 100, id="classifier, with its decisions"),
        pytest.param(make_pipeline(CountVectorizer(), CountedClassifier()), TEXTS, CLASSES, 120, id="text"),
    ],
)
def test_init_runs_the_estimator_few_times(tmp_path: Path, model: Any, frame: pd.DataFrame, target: Any, most: int) -> None:
    frame.assign(y=target).to_csv(tmp_path / "data.csv", index=False)
    model.fit(frame.text if "text" in frame else frame, target)
    RUNS.clear()
    done = init(tmp_path, "m", model, "--data", tmp_path / "data.csv", "--target", "y")
    assert done.exit_code == 0, done.output
    assert 0 < len(RUNS) <= most, len(RUNS)
    assert max(RUNS) == len(frame)
