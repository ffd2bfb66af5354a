"""Fast functions for scikit-learn's methods: the same bits, or the public method itself."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from grpc_server.runtimes.sklearn.fast_predict import _FAST, fast_predict
from tests.support.effort import tries

SVC_PROBA = ("SVC", "predict_proba")
X, Y = load_iris(return_X_y=True)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]


TWO = np.where(Y == 1, "yes", "no")
LENGTHS = X[:, 0]
"""A target of numbers, which the other columns predict."""


def svc(**options: Any) -> Any:
    return SVC(probability=True, random_state=0, **options)


def fitted(estimator: Any, target: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):  # scikit-learn 1.9 announces the end of `probability`.
        return estimator.fit(X[:, 1:] if target is LENGTHS else X, target)


CASES = {
    "svc": (svc(), SPECIES, "predict_proba"),
    "svc-label": (svc(), SPECIES, "predict"),
    "svc-decisions": (svc(), SPECIES, "decision_function"),
    "svc-pairs": (svc(decision_function_shape="ovo"), SPECIES, "decision_function"),
    "svc-two-classes": (SVC(), TWO, "decision_function"),
    "svc-two-classes-label": (SVC(), TWO, "predict"),
    "logistic": (LogisticRegression(max_iter=500), SPECIES, "predict_proba"),
    "logistic-two-classes": (LogisticRegression(max_iter=500), TWO, "predict_proba"),
    "scaled-logistic": (make_pipeline(StandardScaler(), LogisticRegression()), SPECIES, "predict_proba"),
    "scaled-svc": (make_pipeline(StandardScaler(), SVC()), SPECIES, "predict"),
    "scaled-forest": (make_pipeline(StandardScaler(), RandomForestClassifier(5)), SPECIES, "predict_proba"),
    "scaled-regressor": (make_pipeline(StandardScaler(), RandomForestRegressor(5)), LENGTHS, "predict"),
    "reduced-linear": (make_pipeline(StandardScaler(), PCA(2), LinearRegression()), LENGTHS, "predict"),
    "calibrated": (CalibratedClassifierCV(SVC(), cv=3), SPECIES, "predict_proba"),
    "calibrated-two-classes": (CalibratedClassifierCV(LinearSVC(), cv=3), TWO, "predict_proba"),
    "calibrated-once": (CalibratedClassifierCV(SVC(), cv=3, ensemble=False), SPECIES, "predict_proba"),
    "svc-poly": (svc(kernel="poly", degree=2, coef0=1.0), SPECIES, "predict_proba"),
    "forest": (RandomForestClassifier(20, random_state=0, n_jobs=2), SPECIES, "predict_proba"),
    "extra-trees": (ExtraTreesClassifier(10, random_state=0), SPECIES, "predict_proba"),
    "forest-regressor": (RandomForestRegressor(10, random_state=0), LENGTHS, "predict"),
    "extra-trees-regressor": (ExtraTreesRegressor(10, random_state=0), LENGTHS, "predict"),
}
cases = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def estimators() -> dict[str, Any]:
    """The estimators of all cases, fitted when the first test begins: workers that run none of them only collect."""
    return {name: fitted(estimator, target) for name, (estimator, target, _) in CASES.items()}


floats = st.floats(-1e37, 1e37) | st.floats(-10, 10)  # Beyond, scikit-learn refuses the rows of a forest: see below.


@cases
@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered in reduce")  # scikit-learn adds rows up to find infinity.
@settings(deadline=None, max_examples=tries(8, 200))
@given(data=st.data())
def test_fast_predict_gives_the_same_bits(estimators: dict[str, Any], name: str, data: st.DataObject) -> None:
    estimator, method = estimators[name], CASES[name][-1]
    width = estimator.n_features_in_
    fast = fast_predict(estimator, method, X[:3, -width:])
    assert fast != getattr(estimator, method)
    rows = np.array(data.draw(st.lists(st.lists(floats, min_size=width, max_size=width), min_size=1, max_size=4)))
    for ordered in (rows, np.asfortranarray(rows)):
        with parallel_config("sequential"):
            assert np.array_equal(fast(ordered), getattr(estimator, method)(ordered))


@cases
def test_training_rows_give_the_same_bits(estimators: dict[str, Any], name: str) -> None:
    estimator, method = estimators[name], CASES[name][-1]
    rows = X[:, -estimator.n_features_in_ :]
    assert np.array_equal(fast_predict(estimator, method, rows)(rows), getattr(estimator, method)(rows))


@cases
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_not_finite_take_the_public_method(estimators: dict[str, Any], name: str, value: float) -> None:
    estimator, method = estimators[name], CASES[name][-1]
    rows = X[:2, -estimator.n_features_in_ :].copy()
    fast = fast_predict(estimator, method, rows)
    rows[1, 1] = value
    assert outcome(fast, rows) == outcome(getattr(estimator, method), rows)


def outcome(method: Any, rows: Any) -> Any:
    try:
        return method(rows).tolist()  # Trees predict missing values.
    except ValueError as refusal:
        return str(refusal)


def test_number_beyond_float32_is_refused(estimators: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="too large for dtype"), np.errstate(over="ignore"):
        fast_predict(estimators["forest"], "predict_proba", X[:1])(np.array([[1e39, 1.0, 1.0, 1.0]]))


@pytest.mark.parametrize("value", [0.0, 1e-310])
def test_step_that_gives_infinity_is_refused_as_in_public(value: float) -> None:
    """A model may answer infinity with a probability of 0 or 1."""
    pipeline = make_pipeline(FunctionTransformer(np.reciprocal), LogisticRegression(max_iter=500)).fit(X, SPECIES)
    rows = np.array([[value, 1.0, 1.0, 1.0]])
    fast = fast_predict(pipeline, "predict_proba", X[:3])
    assert fast != pipeline.predict_proba
    with pytest.raises(ValueError, match="Input X contains"), np.errstate(all="ignore"):
        fast(rows)


def test_sample_with_gaps_keeps_a_forest_fast() -> None:
    forest, rows = RandomForestClassifier(5, random_state=0), X.copy()
    rows[::3, 1] = np.nan
    forest.fit(rows, SPECIES)
    fast = fast_predict(forest, "predict_proba", rows[:3])
    assert fast != forest.predict_proba
    assert np.array_equal(fast(rows), forest.predict_proba(rows))


class Subclass(RandomForestClassifier):
    """Reverses the probabilities."""

    def predict_proba(self, rows: Any) -> Any:
        return super().predict_proba(rows)[:, ::-1]


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        pytest.param(GaussianNB(), SPECIES, id="another-class"),
        pytest.param(Subclass(5, random_state=0), SPECIES, id="subclass"),
        pytest.param(svc(kernel=lambda a, b: a @ b.T), SPECIES, id="own-kernel"),
        pytest.param(CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2), SPECIES, id="isotonic"),
        pytest.param(CalibratedClassifierCV(GaussianNB(), cv=2), SPECIES, id="calibrated-probabilities"),
        pytest.param(make_pipeline(FunctionTransformer(pd.DataFrame), GaussianNB()), SPECIES, id="frame-inside"),
        pytest.param(RandomForestClassifier(5, random_state=0), np.stack([Y, Y], axis=1), id="several-targets"),
    ],
)
def test_other_estimators_keep_their_public_method(estimator: Any, target: Any) -> None:
    fitted(estimator, target)
    assert fast_predict(estimator, "predict_proba", X[:1]) == estimator.predict_proba


def test_changed_private_function_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = fitted(svc(), SPECIES)
    assert fast_predict(estimator, "predict_proba", X[:1]) != estimator.predict_proba
    with monkeypatch.context() as patched:
        patched.setitem(_FAST, SVC_PROBA, lambda _svc, public: lambda rows: np.nextafter(public(rows), 1))
        assert fast_predict(estimator, "predict_proba", X[:1]) == estimator.predict_proba
    del estimator._sparse
    assert fast_predict(estimator, "predict_proba", X[:1]) == estimator.predict_proba
