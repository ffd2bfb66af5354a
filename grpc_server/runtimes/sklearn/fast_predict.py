"""scikit-learn's own arithmetic without what stands around it, which is most of the time of a row.

`SVC` checks a row for ten times as long as it computes, and a forest hands each tree to joblib. What is called instead is what
their public methods come to in scikit-learn 1.9. It is not public, so `unchecked` believes in it only where some answers are the
same in every bit; and rows that the checks might refuse, because they are not finite, still go through them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from joblib import parallel_config

from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.number_rows import is_finite

Method = Callable[[Any], Any]

_TRIED = 64
"""Rows on which the answers are compared, beside a single one."""


def fast_predict(estimator: Any, method: str, sample: Rows) -> Method:
    """A method of a fitted estimator, for float64 rows of shape (n, width): as it is, or a faster way to the same bits.

    `sample` is one or more rows like those to come.
    """
    public: Method = getattr(estimator, method)
    make = _SHORT.get((f"{type(estimator).__module__}.{type(estimator).__name__}", method))
    if make is None or not isinstance(sample, np.ndarray):
        return public
    try:
        short = make(estimator, public)
        same = all(_agree(public, short, rows) for rows in (sample[:1], _around(sample)))
    except Exception:  # Whatever a private name may raise that has gone or changed.
        return public
    return short if same else public


def _agree(public: Method, short: Method, rows: Matrix) -> bool:
    with parallel_config("sequential"):  # A forest adds up in the order in which its jobs end.
        return np.array_equal(public(rows), short(rows))


def _around(sample: Matrix) -> Matrix:
    rows = np.resize(sample, (_TRIED, sample.shape[1]))
    around: Matrix = rows + np.random.default_rng(0).normal(size=rows.shape) * (np.abs(rows) + 1)
    return around


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
    """Every tree in turn, as one job does it."""
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


_SHORT: dict[tuple[str, str], Callable[[Any, Method], Method]] = {
    ("sklearn.svm._classes.SVC", "predict_proba"): _svc,
    ("sklearn.ensemble._forest.RandomForestClassifier", "predict_proba"): _forest,
    ("sklearn.ensemble._forest.ExtraTreesClassifier", "predict_proba"): _forest,
    ("sklearn.ensemble._forest.RandomForestRegressor", "predict"): _forest,
    ("sklearn.ensemble._forest.ExtraTreesRegressor", "predict"): _forest,
}
"""By the class and the method that it stands for. A subclass may do otherwise."""
