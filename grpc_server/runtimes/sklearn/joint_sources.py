"""Sources that give a choice, such as the label, and the numbers that decide it in one run of an estimator."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline

from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import Source, output_function
from grpc_server.runtimes.sklearn.fast_predict import rows_near, same_answers

_NEAR = 1e-6
"""Difference of two numbers, as a share of the larger, up to which rounding may decide between them."""

_DECIDED_BY = (
    (
        "probability",  # `predict` takes the argmax of `predict_proba`, or counts the same votes.
        0.0,
        "BaggingClassifier CalibratedClassifierCV DecisionTreeClassifier ExtraTreeClassifier ExtraTreesClassifier "
        "KNeighborsClassifier LGBMClassifier RandomForestClassifier VotingClassifier",
    ),
    (
        "probability",  # `predict` takes the argmax or the sign of scores, of which the probabilities are an increasing function.
        _NEAR,
        "AdaBoostClassifier BayesianGaussianMixture BernoulliNB CategoricalNB ComplementNB GaussianMixture GaussianNB "
        "GradientBoostingClassifier HistGradientBoostingClassifier LinearDiscriminantAnalysis LogisticRegression "
        "LogisticRegressionCV MLPClassifier MultinomialNB QuadraticDiscriminantAnalysis SGDClassifier XGBClassifier "
        "XGBRFClassifier",
    ),
    (
        "decision",  # `predict` takes the argmax or the sign of `decision_function`.
        0.0,
        "EllipticEnvelope IsolationForest LinearSVC LocalOutlierFactor OneClassSVM PassiveAggressiveClassifier Perceptron "
        "RidgeClassifier RidgeClassifierCV SGDClassifier SGDOneClassSVM",
    ),
)
"""The numbers that decide a choice, how near two may be for that, and the classes, from the source of scikit-learn 1.9, XGBoost 3.2
and LightGBM 4.7."""


def joint_sources(estimator: Any, sources: Sequence[Source], sample: Rows) -> Iterator[Source]:
    """A source of the choice beside the numbers that decide it, if its choices for trial rows are those of `predict`."""
    final = _final(estimator)
    kinds = {source.outputs[0].kind: source for source in sources}
    choice = kinds.get("label") or kinds.get("cluster")
    is_known = type(final).__module__.startswith(("sklearn.", "xgboost.", "lightgbm."))
    if choice is None or not is_known or (hasattr(final, "n_neighbors") and getattr(final, "weights", "uniform") != "uniform"):
        return  # Weights of neighbours are added up in different orders.
    for kind, near, names in _DECIDED_BY:
        if kind in kinds and type(final).__name__ in names.split():
            joint = Source(choice.outputs + kinds[kind].outputs, _joint(choice, kinds[kind], near))
            if same_answers(output_function((choice, kinds[kind]), joint.outputs), joint.run, _trials(joint, sample)):
                yield joint


def _final(estimator: Any) -> Any:
    """The estimator inside pipelines, searches and stacks that makes the choice."""
    if isinstance(estimator, Pipeline | MultiOutputClassifier):
        return _final(estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator.estimators_[0])
    inner = getattr(estimator, "best_estimator_", None) or getattr(estimator, "final_estimator_", None)
    return _final(inner) if inner else estimator


def _joint(choice: Source, numbers: Source, near: float) -> Callable[[Any], Matrix]:
    """Runs `choice` too if rounding may decide for a row, or a decision is 0."""
    targets = [output.target for output in numbers.outputs]
    blocks = [slice(targets.index(target), targets.index(target) + targets.count(target)) for target in dict.fromkeys(targets)]

    def run(rows: Any) -> Matrix:
        found = numbers.run(rows)
        strengths = [found[:, block] for block in blocks]
        if len(targets) == len(blocks):  # The sign of each decides.
            strengths = [np.hstack((np.zeros_like(each), each)) for each in strengths]
        for each in strengths if near or len(targets) == len(blocks) else ():
            second, first = np.partition(each, -2, axis=1)[:, -2:].T
            if not (first - second > near * first).all():  # True for NaN.
                return np.hstack((choice.run(rows), found))
        return np.hstack((*(each.argmax(1)[:, None] for each in strengths), found))

    return run


def _trials(joint: Source, sample: Rows) -> Iterator[Any]:
    """Rows near those of a sample, the same rounded, which may tie, and rows beside a boundary, neighbours in float32."""
    rows = rows_near(sample)
    trials = [rows]
    if isinstance(sample, np.ndarray):
        trials.append(np.round(rows))
        for _ in range(3):
            choices = joint.run(rows)[:, 0]
            changes = np.flatnonzero(choices[1:] != choices[:-1])
            if not len(changes):
                break
            rows = np.linspace(rows[changes[0]], rows[changes[0] + 1], 256)
        trials.append(rows)
    yield np.concatenate(trials) if trials[1:] else rows
