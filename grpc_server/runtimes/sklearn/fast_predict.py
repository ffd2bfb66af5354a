"""Faster ways to predict one row: scikit-learn's own arithmetic without its input checks and job scheduling.

`SVC` checks a row ten times as long as it computes, and a forest hands each tree to joblib. The functions here compute from fitted
attributes, or call the private functions in which the public methods of scikit-learn 1.9 end. `fast_predict` uses them only if
answers are the same in every bit. Rows that are not finite, which the checks may refuse, still take the public method.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from joblib import parallel_config
from scipy.special import expit  # type: ignore[import-untyped]  # SciPy has no types.
from sklearn.utils.extmath import softmax

from grpc_server.rows.mixed_rows import Matrix, Rows, Table
from grpc_server.rows.outputs import is_finite

Method = Callable[[Any], Any]

_NEAR_ROWS = 64
"""Rows near a sample on which answers are compared."""


def fast_predict(estimator: Any, method: str, sample: Rows) -> Method:
    """The named method of a fitted estimator for float64 rows of shape (n, columns), or a faster function with the same answers.

    `sample` is at least one typical row.
    """
    public: Method = getattr(estimator, method)
    try:
        fast = _fast(estimator, method)
    except Exception:  # A private name that was changed or removed may raise anything.
        return public
    finite = None if isinstance(sample, Table) else np.nan_to_num(sample)
    if fast == public or finite is None or not same_answers(public, fast, (finite[:1], rows_near(finite))):
        return public

    def guarded(rows: Matrix) -> Any:
        with np.errstate(all="ignore"):
            answer = fast(rows) if is_finite(rows) else None
        return public(rows) if answer is None or (answer.dtype.kind == "f" and not is_finite(answer)) else answer

    return guarded


def same_answers(first: Method, second: Method, trials: Iterable[Rows]) -> bool:
    """Whether two functions give the same bits for all trials; False if one raises, as for a sample that is made up."""
    try:  # In parallel, a forest adds its trees in the order in which jobs end.
        with parallel_config("sequential"), np.errstate(all="ignore"):
            return all(np.array_equal(first(rows), second(rows)) for rows in trials)
    except Exception:  # An estimator may raise anything.
        return False


def rows_near(sample: Rows) -> Any:
    """A sample and rows of numbers around it; of a table, the sample alone."""
    if isinstance(sample, Table):
        return sample
    rows = np.resize(sample, (_NEAR_ROWS, sample.shape[1]))
    return np.concatenate((sample, rows + np.random.default_rng(0).normal(size=rows.shape) * (np.abs(rows) + 1)))


def _fast(estimator: Any, method: str) -> Any:
    """The fast function of a class, which gives NaN for rows that it cannot answer, or else the public method."""
    make = _FAST.get((type(estimator).__name__, method)) if type(estimator).__module__.startswith("sklearn.") else None
    return make(estimator, method) if make else getattr(estimator, method)


def _pipeline(pipeline: Any, method: str) -> Method:
    *transforms, last = [_fast(step, method if step is pipeline.steps[-1][1] else "transform") for _, step in pipeline.steps]

    def run(rows: Matrix) -> Any:
        for transform in transforms:
            rows = transform(rows)
        return last(rows) if is_finite(rows) else np.full(len(rows), np.nan)

    return run


def _logistic(model: Any, _method: str) -> Method:
    def predict_proba(rows: Matrix) -> Any:
        decision = rows @ model.coef_.T + model.intercept_
        return softmax(decision, copy=False) if len(model.classes_) > 2 else np.hstack((1 - expit(decision), expit(decision)))

    return predict_proba


def _calibrated(model: Any, _method: str) -> Method:
    """Each part scales its scores by the sigmoids of its calibrators; those of other methods have none."""
    parts = [
        (_fast(part.estimator, "decision_function"), *np.array([(each.a_, each.b_) for each in part.calibrators]).T)
        for part in model.calibrated_classifiers_
    ]

    def predict_proba(rows: Matrix) -> Any:
        total: Any = 0.0
        for decide, slopes, shifts in parts:
            shares = expit(-(slopes * decide(rows).reshape(len(rows), -1) + shifts))
            total = total + (np.hstack((1 - shares, shares)) if len(slopes) == 1 else shares / shares.sum(1, keepdims=True))
        return total / len(parts)

    return predict_proba


def _svc(svc: Any, method: str) -> Any:
    from sklearn.svm import _libsvm as libsvm
    from sklearn.svm._base import LIBSVM_IMPL
    from sklearn.utils.multiclass import _ovr_decision_function

    if svc._sparse or svc.break_ties or svc.kernel not in ("linear", "poly", "rbf", "sigmoid"):
        return getattr(svc, method)
    compute, classes = getattr(libsvm, method), len(svc.classes_)
    fitted = (svc.support_, svc.support_vectors_, svc._n_support, svc._dual_coef_, svc._intercept_, svc._probA, svc._probB)
    options = {name: getattr(svc, name) for name in ("kernel", "degree", "cache_size", "coef0")}
    options |= {"gamma": svc._gamma, "svm_type": LIBSVM_IMPL.index(svc._impl)}

    def run(rows: Matrix) -> Any:
        answer = compute(np.ascontiguousarray(rows), *fitted, **options)
        if method == "predict":
            return svc.classes_.take(answer.astype(np.intp))
        if method == "predict_proba" or (classes > 2 and svc.decision_function_shape == "ovo"):
            return answer
        return _ovr_decision_function(answer < 0, -answer, classes) if classes > 2 else -answer.ravel()

    return run


def _forest(forest: Any, method: str) -> Any:
    """Adds the trees in order, as a forest does in one job."""
    if forest.n_outputs_ != 1:
        return getattr(forest, method)
    trees = [tree.tree_.predict for tree in forest.estimators_]
    shape = (forest.n_classes_,) if hasattr(forest, "n_classes_") else ()

    def predict(rows: Matrix) -> Any:
        narrow = np.ascontiguousarray(rows, np.float32)
        if not np.isfinite(narrow).all():
            return np.full(len(rows), np.nan)
        total = np.zeros((len(rows), *shape))
        for tree in trees:
            total += tree(narrow).reshape(total.shape)
        total /= len(trees)
        return total

    return predict


_FAST: dict[tuple[str, str], Callable[[Any, str], Method]] = {
    ("Pipeline", "predict_proba"): _pipeline,
    ("Pipeline", "predict"): _pipeline,
    ("StandardScaler", "transform"): lambda scaler, _method: lambda rows: (rows - scaler.mean_) / scaler.scale_,
    ("LogisticRegression", "predict_proba"): _logistic,
    ("CalibratedClassifierCV", "predict_proba"): _calibrated,
    **{("SVC", method): _svc for method in ("predict", "predict_proba", "decision_function")},
    **{(f"{kind}Classifier", "predict_proba"): _forest for kind in ("RandomForest", "ExtraTrees")},
    **{(f"{kind}Regressor", "predict"): _forest for kind in ("RandomForest", "ExtraTrees")},
}
"""Makers of fast functions by exact class of scikit-learn and method: a subclass may override either."""
