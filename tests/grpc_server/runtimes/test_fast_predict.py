"""Fast functions for scikit-learn's methods: the same bits, or the public method itself."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from grpc_server.runtimes.sklearn.fast_predict import _FAST, fast_predict
from tests.support.effort import tries

SVC_PROBA = ("sklearn.svm._classes.SVC", "predict_proba")
X, Y = load_iris(return_X_y=True)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]


def svc(**options: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):  # scikit-learn 1.9 announces the end of `probability`.
        return SVC(probability=True, random_state=0, **options).fit(X, SPECIES)


CASES = {
    "svc": (svc(), "predict_proba"),
    "svc-poly": (svc(kernel="poly", degree=2, coef0=1.0), "predict_proba"),
    "forest": (RandomForestClassifier(20, random_state=0, n_jobs=2).fit(X, SPECIES), "predict_proba"),
    "extra-trees": (ExtraTreesClassifier(10, random_state=0).fit(X, SPECIES), "predict_proba"),
    "forest-regressor": (RandomForestRegressor(10, random_state=0).fit(X[:, 1:], X[:, 0]), "predict"),
    "extra-trees-regressor": (ExtraTreesRegressor(10, random_state=0).fit(X[:, 1:], X[:, 0]), "predict"),
}
cases = pytest.mark.parametrize(("estimator", "method"), CASES.values(), ids=CASES)
floats = st.floats(-3e38, 3e38) | st.floats(-10, 10)  # Beyond, scikit-learn refuses a forest's rows: see below.


@cases
@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered in reduce")  # scikit-learn adds rows up to find infinity.
@settings(deadline=None, max_examples=tries(8, 200))
@given(data=st.data())
def test_fast_predict_gives_the_same_bits(estimator: Any, method: str, data: st.DataObject) -> None:
    width = estimator.n_features_in_
    fast = fast_predict(estimator, method, X[:3, -width:])
    assert fast != getattr(estimator, method)
    rows = np.array(data.draw(st.lists(st.lists(floats, min_size=width, max_size=width), min_size=1, max_size=4)))
    with parallel_config("sequential"):
        expected = getattr(estimator, method)(rows)
    assert np.array_equal(fast(rows), expected)
    assert np.array_equal(fast(np.asfortranarray(rows)), expected)


@cases
def test_training_rows_give_the_same_bits(estimator: Any, method: str) -> None:
    rows = X[:, -estimator.n_features_in_ :]
    assert np.array_equal(fast_predict(estimator, method, rows)(rows), getattr(estimator, method)(rows))


@cases
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_not_finite_take_the_public_method(estimator: Any, method: str, value: float) -> None:
    rows = X[:2, -estimator.n_features_in_ :].copy()
    fast = fast_predict(estimator, method, rows)
    rows[1, 1] = value
    assert outcome(fast, rows) == outcome(getattr(estimator, method), rows)


def outcome(method: Any, rows: Any) -> Any:
    try:
        return method(rows).tolist()  # Trees predict missing values.
    except ValueError as refusal:
        return str(refusal)


def test_number_beyond_float32_is_refused() -> None:
    forest, method = CASES["forest"]
    with pytest.raises(ValueError, match="too large for dtype"), np.errstate(over="ignore"):
        fast_predict(forest, method, X[:1])(np.array([[1e39, 1.0, 1.0, 1.0]]))


class Subclass(RandomForestClassifier):
    """Reverses the probabilities."""

    def predict_proba(self, rows: Any) -> Any:
        return super().predict_proba(rows)[:, ::-1]


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(GaussianNB().fit(X, SPECIES), id="another-class"),
        pytest.param(Subclass(5, random_state=0).fit(X, SPECIES), id="subclass"),
        pytest.param(svc(kernel=lambda a, b: a @ b.T), id="own-kernel"),
        pytest.param(RandomForestClassifier(5, random_state=0).fit(X, np.stack([Y, Y], axis=1)), id="several-targets"),
    ],
)
def test_other_estimators_keep_their_public_method(estimator: Any) -> None:
    assert fast_predict(estimator, "predict_proba", X[:1]) == estimator.predict_proba


def test_changed_private_function_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = svc()
    assert fast_predict(estimator, "predict_proba", X[:1]) != estimator.predict_proba
    with monkeypatch.context() as patched:
        patched.setitem(_FAST, SVC_PROBA, lambda _svc, public: lambda rows: np.nextafter(public(rows), 1))
        assert fast_predict(estimator, "predict_proba", X[:1]) == estimator.predict_proba
    del estimator._sparse
    assert fast_predict(estimator, "predict_proba", X[:1]) == estimator.predict_proba
