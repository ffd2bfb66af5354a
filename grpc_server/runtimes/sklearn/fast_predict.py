"""Faster ways to predict one row: scikit-learn's own arithmetic without its input checks and job scheduling.

`SVC` checks a row ten times as long as it computes, and a forest hands each tree to joblib. The functions here call the private
functions that the public methods of scikit-learn 1.9 end in. `fast_predict` uses them only if sample answers are the same in every
bit. Rows that are not finite, which the checks may refuse, still take the public method.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from joblib import parallel_config

from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import is_finite

Method = Callable[[Any], Any]

_COMPARED_ROWS = 64
"""Rows on which the answers are compared, beside a single row."""


def fast_predict(estimator: Any, method: str, sample: Rows) -> Method:
    """The named method of a fitted estimator for float64 rows of shape (n, columns), or a faster function with the same answers.

    `sample` is at least one typical row.
    """
    public: Method = getattr(estimator, method)
    make = _FAST.get((f"{type(estimator).__module__}.{type(estimator).__name__}", method))
    if make is None or not isinstance(sample, np.ndarray):
        return public
    try:
        fast = make(estimator, public)
        same = all(_agree(public, fast, rows) for rows in (sample[:1], _rows_near(sample)))
    except Exception:  # A private name that was changed or removed may raise anything.
        return public
    return fast if same else public


def _agree(public: Method, fast: Method, rows: Matrix) -> bool:
    with parallel_config("sequential"):  # In parallel, a forest adds its trees in the order in which jobs end.
        return np.array_equal(public(rows), fast(rows))


def _rows_near(sample: Matrix) -> Matrix:
    rows = np.resize(sample, (_COMPARED_ROWS, sample.shape[1]))
    near: Matrix = rows + np.random.default_rng(0).normal(size=rows.shape) * (np.abs(rows) + 1)
    return near


def _svc(svc: Any, public: Method) -> Method:
    from sklearn.svm import _libsvm as libsvm
    from sklearn.svm._base import LIBSVM_IMPL

    if svc._sparse or svc.kernel not in ("linear", "poly", "rbf", "sigmoid"):
        return public
    compute = partial(
        libsvm.predict_proba,
        support=svc.support_,
        SV=svc.support_vectors_,
        nSV=svc._n_support,
        sv_coef=svc._dual_coef_,
        intercept=svc._intercept_,
        probA=svc._probA,
        probB=svc._probB,
        svm_type=LIBSVM_IMPL.index(svc._impl),
        kernel=svc.kernel,
        degree=svc.degree,
        cache_size=svc.cache_size,
        coef0=svc.coef0,
        gamma=svc._gamma,
    )

    def predict_proba(rows: Matrix) -> Any:
        return compute(np.ascontiguousarray(rows)) if is_finite(rows) else public(rows)

    return predict_proba


def _forest(forest: Any, public: Method) -> Method:
    """Adds the trees in order, as a forest does in one job."""
    if forest.n_outputs_ != 1:
        return public
    trees = [tree.tree_.predict for tree in forest.estimators_]
    shape = (forest.n_classes_,) if hasattr(forest, "n_classes_") else ()

    def predict(rows: Matrix) -> Any:
        with np.errstate(over="ignore"):
            narrow = np.ascontiguousarray(rows, np.float32)
        if not np.isfinite(narrow).all():
            return public(rows)
        total = np.zeros((len(rows), *shape))
        for tree in trees:
            total += tree(narrow).reshape(total.shape)
        total /= len(trees)
        return total

    return predict


_FAST: dict[tuple[str, str], Callable[[Any, Method], Method]] = {
    ("sklearn.svm._classes.SVC", "predict_proba"): _svc,
    ("sklearn.ensemble._forest.RandomForestClassifier", "predict_proba"): _forest,
    ("sklearn.ensemble._forest.ExtraTreesClassifier", "predict_proba"): _forest,
    ("sklearn.ensemble._forest.RandomForestRegressor", "predict"): _forest,
    ("sklearn.ensemble._forest.ExtraTreesRegressor", "predict"): _forest,
}
"""Makers of fast functions by exact class and method: a subclass may override either."""
