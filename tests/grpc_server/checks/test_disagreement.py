"""A conversion compared with its original: the disagreements, and their messages."""

from typing import Any

import numpy as np
import pytest
import treelite
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from grpc_server.checks.acceleration import ConversionComparison
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Output
from grpc_server.runtimes.conversions import conversion_table
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime
from grpc_server.store.manifest import GoldenRow
from tests.support.fakes import MANIFEST, FakeRuntime
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models.accelerated_iris import UNIT, X, Y

PROBABILITIES = {Output("probability", item) for item in range(3)}
LOGISTIC = LogisticRegression().fit(X, Y)
EXACT = LOGISTIC.predict_proba


def compared(estimator: Any, *golden: GoldenRow) -> ConversionComparison:
    return ConversionComparison(EstimatorRuntime(estimator), MANIFEST, golden, UNIT, PROBABILITIES)


class Broken(LogisticRegression):
    """Raises for a value above 0.5."""

    def predict_proba(self, rows: Matrix) -> Any:
        if rows.max() > 0.5:
            raise ValueError("too much for me")
        return super().predict_proba(rows)


def test_model_that_fails_within_bounds_stays() -> None:
    comparison = compared(Broken().fit(X, Y))
    with pytest.raises(ModelError, match=r"the model fails within its bounds \(ValueError: too much for me\)"):
        comparison.check(FakeRuntime(), "it")


@pytest.fixture(scope="module")
def comparison() -> ConversionComparison:
    return compared(LOGISTIC)


def at_a_corner(rows: Matrix) -> Matrix:
    """Differs in one corner of the ranges only."""
    answers = EXACT(rows)
    answers[(rows == [0, 1, 1, 0]).all(axis=1), 2] += 2e-6
    return answers


def swapped(rows: Matrix) -> Matrix:
    return EXACT(rows)[:, [1, 0, 2]]


def not_a_number(rows: Matrix) -> Matrix:
    answers = EXACT(rows)
    answers[answers.argmax(axis=1) == 0] = np.nan
    return answers


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (
            at_a_corner,
            r"^it disagrees on \d of \d+ rows, most at sepal_length=0.0, sepal_width=1.0, petal_length=1.0, petal_width=0.0: "
            r"it gives virginica 0\.\d+, the original 0\.\d+$",
        ),
        (swapped, r"it disagrees on \d{4} of \d{4} rows, most at .*: it gives (setosa|versicolor) "),
        (not_a_number, "it disagrees on .*: it gives setosa nan, the original 0"),
    ],
)
def test_disagreement_names_its_row_and_both_values(comparison: ConversionComparison, predict: Any, message: str) -> None:
    comparison.check(FakeRuntime(lambda rows: EXACT(rows) + 9e-7), "it")
    with pytest.raises(ModelMismatch, match=message):
        comparison.check(FakeRuntime(predict), "it")


def test_tie_that_falls_otherwise_is_a_disagreement() -> None:
    class Torn(LogisticRegression):
        def predict_proba(self, rows: Matrix) -> Any:
            return np.tile([0.5, 0.5, 0.0], (len(rows), 1))

    comparison = compared(Torn().fit(X, Y))
    with pytest.raises(ModelMismatch, match=r"versicolor 0\.50000001, the original 0.5, so that setosa is no longer the likeliest"):
        comparison.check(FakeRuntime(lambda rows: np.tile([0.5, 0.50000001, 0.0], (len(rows), 1))), "it")


def test_conversion_must_pass_the_golden_rows() -> None:
    """The conversion is within the tolerance of the original, and the original of the golden row, but not the conversion."""
    expected = dict(zip(CLASSES, (EXACT(X[:1])[0] + 8e-7).tolist(), strict=True))
    row = GoldenRow(features=dict(zip(COLUMNS, X[0].tolist(), strict=True)), probabilities=expected)
    comparison = compared(LOGISTIC, row)
    with pytest.raises(ModelMismatch, match=r"it gives setosa .* for golden row 1"):
        comparison.check(FakeRuntime(lambda rows: EXACT(rows) - 8e-7), "it")


@pytest.mark.slow
def test_conversions_that_round_otherwise_are_refused(forest: RandomForestClassifier) -> None:
    """A scaler in float32 before trees, and float64 thresholds for rows that scikit-learn rounds to float32."""
    scaled = make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)).fit(X, Y)
    plainest = next(conversion_table.convert("onnx", scaled, COLUMNS, [CLASSES]))
    unrounded = treelite.sklearn.import_model(forest).serialize_bytes()
    for estimator, format_name, artifact in ((scaled, "onnx", plainest), (forest, "trees", unrounded)):
        comparison = compared(estimator)
        with pytest.raises(ModelMismatch, match="it disagrees on"):
            comparison.check(format_table.load(format_name, artifact), "it")
        assert comparison.agreeing(format_name).format == format_name
