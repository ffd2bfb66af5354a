"""Label and probabilities from one run: the bits that `predict` and `predict_proba` give, at ties and beside boundaries too."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier, SGDOneClassSVM
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from grpc_server.rows.mixed_rows import FLOAT64
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime
from tests.support.effort import tries

X, Y = load_iris(return_X_y=True)
X = np.concatenate((X, X[:20]))  # The same row twice, with two labels: ties.
Y = np.concatenate((Y, 1 + Y[:20]))
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
TWO = np.where(Y == 1, "yes", "no")
BOTH = np.stack([Y, (X[:, 1] > 3).astype(int)], axis=1)


def fitted(estimator: Any, y: Any = NAMES, x: Any = X) -> Callable[[], tuple[Any, Source]]:
    """Fits the estimator at the first call, and gives it with its joint source."""

    @cache
    def fit() -> tuple[Any, Source]:
        with warnings.catch_warnings(action="ignore"):  # Of fits that do not converge, and of scikit-learn's announcements.
            sources = EstimatorRuntime(estimator.fit(x, y)).sources([FLOAT64] * 4, X[:8])
        return estimator, next(source for source in sources if len(kinds_of(source)) > 1)

    return fit


def kinds_of(source: Source) -> set[str]:
    return {output.kind for output in source.outputs}


CLASSIFIERS = {
    "forest": fitted(RandomForestClassifier(4, max_depth=2, random_state=0)),
    "forest-of-two": fitted(RandomForestClassifier(2, random_state=0), TWO),
    "extra-trees": fitted(ExtraTreesClassifier(6, random_state=0)),
    "tree": fitted(DecisionTreeClassifier(random_state=0)),
    "forest-two-targets": fitted(RandomForestClassifier(4, random_state=0), BOTH),
    "bagging": fitted(BaggingClassifier(DecisionTreeClassifier(max_depth=2), 4, random_state=0)),
    "calibrated": fitted(CalibratedClassifierCV(SVC(), cv=3)),
    "calibrated-isotonic": fitted(CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2)),
    "calibrated-two-classes": fitted(CalibratedClassifierCV(LinearSVC(), cv=2), TWO),
    "voting": fitted(
        VotingClassifier([("nb", GaussianNB()), ("tree", DecisionTreeClassifier())], voting="soft", weights=[1, 2]),
    ),
    "neighbours-even": fitted(KNeighborsClassifier(4)),
    "neighbours-brute": fitted(KNeighborsClassifier(2, algorithm="brute"), TWO),
    "neighbours-two-targets": fitted(KNeighborsClassifier(2), BOTH),
    "lightgbm": fitted(LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1)),
    "ada-boost": fitted(AdaBoostClassifier(n_estimators=5)),
    "naive-bayes": fitted(GaussianNB()),
    "naive-bayes-counts": fitted(MultinomialNB()),
    "naive-bayes-bits": fitted(BernoulliNB(binarize=3)),
    "gradient-boosting": fitted(GradientBoostingClassifier(n_estimators=5)),
    "gradient-boosting-two-classes": fitted(GradientBoostingClassifier(loss="exponential", n_estimators=4), TWO),
    "hist-boosting": fitted(HistGradientBoostingClassifier(max_iter=2)),
    "hist-boosting-two-classes": fitted(HistGradientBoostingClassifier(max_iter=2), TWO),
    "logistic": fitted(LogisticRegression()),
    "logistic-two-classes": fitted(LogisticRegression(C=1e6), TWO),
    "sgd-huber": fitted(SGDClassifier(loss="modified_huber", random_state=0)),
    "linear-discriminant": fitted(LinearDiscriminantAnalysis()),
    "quadratic-discriminant": fitted(QuadraticDiscriminantAnalysis()),
    "perceptrons": fitted(MLPClassifier((5,), max_iter=30, random_state=0)),
    "perceptrons-two-classes": fitted(MLPClassifier((5,), activation="logistic", max_iter=30, random_state=0), TWO),
    "xgboost": fitted(XGBClassifier(n_estimators=4, n_jobs=1), Y),
    "xgboost-two-classes": fitted(XGBClassifier(n_estimators=2, n_jobs=1), (Y == 1).astype(int)),
    "xgboost-softmax": fitted(XGBClassifier(n_estimators=2, n_jobs=1, objective="multi:softmax"), Y),
    "two-targets": fitted(MultiOutputClassifier(LogisticRegression()), BOTH),
    "pipeline": fitted(make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0))),
    "search": fitted(GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1, 10]}, cv=2)),
    "stack": fitted(StackingClassifier([("nb", GaussianNB())], LogisticRegression(), cv=2)),
}
DECIDED = {
    "linear-svc": fitted(LinearSVC()),
    "linear-svc-two-classes": fitted(LinearSVC(), TWO),
    "perceptron": fitted(Perceptron()),
    "ridge": fitted(RidgeClassifier(), TWO),
}
DETECTORS = {
    "isolation": fitted(IsolationForest(n_estimators=5, contamination=0.1, random_state=0)),
    "one-class-svm": fitted(OneClassSVM(nu=0.2)),
    "envelope": fitted(EllipticEnvelope(random_state=0)),
    "local-outliers": fitted(LocalOutlierFactor(4, novelty=True)),
    "sgd-one-class": fitted(SGDOneClassSVM(random_state=0)),
}
CASES = [
    *(pytest.param(estimator, "predict_proba", id=name) for name, estimator in CLASSIFIERS.items()),
    *(pytest.param(estimator, "decision_function", id=name) for name, estimator in {**DECIDED, **DETECTORS}.items()),
    pytest.param(fitted(GaussianMixture(3, random_state=0)), "predict_proba", id="mixture"),
]
Fit = Callable[[], tuple[Any, Source]]
every_case = pytest.mark.parametrize(("fit", "method"), CASES)


class Own(RandomForestClassifier):
    """Predicts what is least likely."""

    def predict(self, rows: Any) -> Any:
        return self.classes_.take(self.predict_proba(rows).argmin(1))


def expected(estimator: Any, method: str, rows: Any) -> tuple[Any, Any]:
    """The choices as indices, and the numbers that decide them, of the public methods."""
    with parallel_config("sequential"):
        labels, numbers = np.asarray(estimator.predict(rows)).reshape(len(rows), -1), getattr(estimator, method)(rows)
    if hasattr(estimator, "classes_"):
        classes = estimator.classes_ if isinstance(estimator.classes_, list) else [estimator.classes_]
        labels = np.stack([np.searchsorted(each, column) for each, column in zip(classes, labels.T, strict=True)], axis=1)
    elif -1 in labels or hasattr(estimator, "offset_"):
        labels = (labels + 1) // 2
    return labels, np.hstack(numbers) if isinstance(numbers, list) else numbers.reshape(len(rows), -1)


def assert_same_bits(source: Source, estimator: Any, method: str, rows: Any) -> None:
    choices, numbers = expected(estimator, method, rows)
    found = source.run(rows)
    width = choices.shape[1]
    assert found[:, :width].tolist() == choices.tolist()
    assert np.array_equal(found[:, width:], numbers, equal_nan=True)


@every_case
def test_training_rows_give_the_same_bits(fit: Fit, method: str) -> None:
    estimator, source = fit()
    assert_same_bits(source, estimator, method, X)
    for index in range(0, len(X), 40):
        assert_same_bits(source, estimator, method, X[index : index + 1])


numbers = st.sampled_from(X.ravel().tolist()) | st.integers(0, 8).map(float) | st.floats(0, 20)
drawn_rows = st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=1, max_size=5)


@every_case
@settings(deadline=None, max_examples=tries(4, 200))
@given(rows=drawn_rows)
def test_drawn_rows_give_the_same_bits(fit: Fit, method: str, rows: list[list[float]]) -> None:
    estimator, source = fit()
    assert_same_bits(source, estimator, method, np.array(rows))


@every_case
def test_rows_beside_a_boundary_give_the_same_bits(fit: Fit, method: str) -> None:
    estimator, source = fit()
    low, high = X[0], X[70]
    first = estimator.predict(low[None])
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.array_equal(estimator.predict(middle[None]), first) else (low, middle)
    for row in (low, high, (low + high) / 2):
        assert_same_bits(source, estimator, method, row[None])


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(SVC(), id="votes"),
        pytest.param(KMeans(3, n_init=1, random_state=0), id="distances-rounded-otherwise"),
        pytest.param(KNeighborsClassifier(3, weights="distance"), id="weighted-neighbours"),
        pytest.param(VotingClassifier([("nb", GaussianNB()), ("tree", DecisionTreeClassifier())]), id="hard-voting"),
        pytest.param(FixedThresholdClassifier(GaussianNB(), threshold=0.9), id="threshold"),
        pytest.param(Own(), id="subclass"),
    ],
)
def test_other_estimators_run_twice(estimator: Any) -> None:
    sources = EstimatorRuntime(estimator.fit(X, TWO)).sources([FLOAT64] * 4, X[:8])
    assert all(len(kinds_of(source)) == 1 for source in sources)
