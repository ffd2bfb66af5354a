"""Conversions of regressors, of several targets and of models without probabilities: which agree, and how one is refused."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, LinearSVC
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from grpc_server.checks.acceleration import ConversionComparison
from grpc_server.checks.probe_rows import ColumnRanges
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.rows.outputs import Source, outputs_per_target
from grpc_server.rows.targets import Target
from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime
from tests.conftest import ROOT
from tests.support.fakes import MANIFEST

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).random((120, 4))
VALUE = 100 * X[:, 0] + X[:, 1] * X[:, 2]
NEITHER = np.zeros(4, dtype=bool)
UNIT = ColumnRanges(np.zeros(4), np.ones(4), NEITHER, NEITHER)

ANSWERS: dict[str, Any] = {
    "a value": VALUE,
    "two values": np.column_stack((VALUE, X[:, 3] - X[:, 0])),
    "a label": np.array(["low", "middle", "high"])[np.digitize(VALUE, [30, 60])],
    "two labels": np.column_stack(
        (np.where(X[:, 0] > 0.5, "long", "short"), np.array(["a", "b", "c"])[np.digitize(VALUE, [30, 60])])
    ),
    "labels, any or none": np.column_stack((X[:, 0] > 0.5, X[:, 1] > 0.3)).astype(int),
}

ESTIMATORS: dict[str, Any] = {
    each.__name__: each
    for each in (
        DecisionTreeRegressor,
        ExtraTreesRegressor,
        GradientBoostingRegressor,
        HistGradientBoostingRegressor,
        KNeighborsRegressor,
        LinearRegression,
        LinearSVC,
        LogisticRegression,
        MLPRegressor,
        MultiOutputClassifier,
        MultiOutputRegressor,
        OneVsRestClassifier,
        RandomForestClassifier,
        RandomForestRegressor,
        Ridge,
        SVR,
        StandardScaler,
        make_pipeline,
    )
}


def documented() -> list[tuple[str, ...]]:
    """Rows of the table in the docs: an estimator, its answer, and the outcome of its conversion to each format."""
    page = (ROOT / "docs/reference/formats.md").read_text().partition("| estimator | answers |")[2].partition("\n\n")[0]
    return [tuple(cell.strip(" `") for cell in line.strip("|").split("|")) for line in page.splitlines()[2:]]


def compared(estimator: Any, where: ColumnRanges = UNIT) -> ConversionComparison:
    """The comparison of a fitted estimator with its conversions."""
    runtime = EstimatorRuntime(estimator)
    count = len(runtime.targets) or np.atleast_2d(estimator.predict(X[:2]).T).shape[0]
    targets = [Target(str(place), (runtime.targets or ((),) * count)[place]) for place in range(count if count > 1 else 0)]
    named: dict[str, Any] = {"classes": runtime.classes, "targets": tuple(targets)}
    return ConversionComparison(runtime, MANIFEST.model_copy(update=named), (), where)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "answers", "onnx", "trees"), documented())
def test_docs_state_which_estimators_agree(estimator: str, answers: str, onnx: str, trees: str) -> None:
    with threadpool_limits(1):
        comparison = compared(eval(estimator, ESTIMATORS).fit(X, ANSWERS[answers]))
        for format_name, outcome in (("onnx", onnx), ("trees", trees)):
            if outcome == "agrees":
                assert comparison.agreeing(format_name).format == format_name
                continue
            with pytest.raises(ModelError, match="cannot (convert|import)" if outcome == "no conversion" else "disagrees on"):
                comparison.agreeing(format_name)


@pytest.mark.parametrize("model", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_missing_values_are_compared(model: Any) -> None:
    holes = np.where(np.random.default_rng(1).random(X.shape) < 0.3, np.nan, X)
    target = np.isnan(holes[:, 0]) * 50 + VALUE
    with threadpool_limits(1):
        fitted = model(max_iter=5).fit(holes, target > 60 if model is HistGradientBoostingClassifier else target)
        comparison = compared(fitted, ColumnRanges(np.zeros(4), np.ones(4), NEITHER, ~NEITHER))
        assert comparison.agreeing("trees").format == "trees"

        def filled(rows: Any) -> Any:
            return fitted.predict(np.nan_to_num(rows))[:, None]

        if model is HistGradientBoostingRegressor:
            with pytest.raises(ModelMismatch, match=r"disagrees on .*=nan.*: it gives value \d"):
                comparison.check(FunctionRegressor(filled), "it")


class FunctionRegressor:
    """A runtime that gives the values of a function."""

    columns, classes, targets, width = None, (), (), 4

    def __init__(self, run: Any, count: int = 1) -> None:
        self._run, self._count = run, count

    def sources(self, dtypes: Any, sample: Any, classes: Any) -> tuple[Source, ...]:
        return (Source(outputs_per_target("value", self._count), self._run),)


@pytest.mark.parametrize(
    ("scale", "off", "agrees"),
    [
        pytest.param(1e6, 0.9e-6, True, id="large"),
        pytest.param(1e6, 1.2e-6, False, id="large-off"),
        pytest.param(1e-9, 0.9e-6, True, id="tiny"),
        pytest.param(1e-9, 1.2e-6, False, id="tiny-off"),
    ],
)
def test_tolerance_of_a_value_is_relative(scale: float, off: float, agrees: bool) -> None:
    """A constant regressor, so that each value is the largest."""
    constant = LinearRegression().fit(X, np.full(len(X), scale))
    comparison = compared(constant)
    wrong = FunctionRegressor(lambda rows: constant.predict(rows)[:, None] * (1 + off))
    if agrees:
        comparison.check(wrong, "it")
        return
    with pytest.raises(ModelMismatch, match=r"it disagrees on \d+ of \d+ rows, most at .*: it gives value 1.*, the original 1"):
        comparison.check(wrong, "it")


def test_target_that_disagrees_is_named() -> None:
    fitted = LinearRegression().fit(X, ANSWERS["two values"])
    with pytest.raises(ModelMismatch, match=r"it gives value\.1 -?\d.*, the original"):
        compared(fitted).check(FunctionRegressor(lambda rows: fitted.predict(rows) + np.array([0, 1e-4]), 2), "it")


def test_label_that_differs_is_named() -> None:
    class Contrary(LinearSVC):
        def predict(self, rows: Any) -> Any:
            return np.where(rows[:, 0] > 0.5, "high", super().predict(rows))

    fitted = LinearSVC().fit(X, ANSWERS["a label"])
    contrary = Contrary().fit(X, ANSWERS["a label"])
    runtime = EstimatorRuntime(contrary)
    with pytest.raises(ModelMismatch, match=r"it gives the label 'high', the original '(low|middle)'"):
        compared(fitted).check(runtime, "it")
