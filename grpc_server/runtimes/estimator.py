"""A scikit-learn classifier as a runtime."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.exceptions import InconsistentVersionWarning

from grpc_server.errors import ModelUnloadable
from grpc_server.runtimes import Matrix


class EstimatorRuntime:
    """A fitted classifier with `predict_proba`.

    It is fed plain arrays in training order, because columns are bound by name before; an estimator that was fitted on a
    data frame would otherwise warn on every call.
    """

    def __init__(self, estimator: Any) -> None:
        """Raises ModelUnloadable when the estimator is not a fitted classifier that gives probabilities."""
        kind = type(estimator).__name__
        if not callable(getattr(estimator, "predict_proba", None)) or not hasattr(estimator, "classes_"):
            raise ModelUnloadable(f"{kind} is no fitted classifier with predict_proba")
        if isinstance(estimator.classes_, list) or not hasattr(estimator, "n_features_in_"):
            raise ModelUnloadable(f"{kind} has several outputs or an unknown number of columns")
        self.estimator = estimator
        names = getattr(estimator, "feature_names_in_", None)
        self.columns = None if names is None else tuple(map(str, names))
        self.width = int(estimator.n_features_in_)
        self.classes: tuple[str, ...] | None = tuple(map(str, estimator.classes_))
        self._predict_proba: Callable[[Matrix], Matrix] = estimator.predict_proba

    def predict(self, rows: Matrix) -> Matrix:
        """See Runtime."""
        return np.asarray(self._predict_proba(rows), dtype=np.float64)


@contextmanager
def unloadable(format_name: str) -> Iterator[None]:
    """Turn whatever goes wrong while unpickling into ModelUnloadable, and a scikit-learn of another version too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            yield
    except ModelUnloadable:
        raise
    except InconsistentVersionWarning as skew:
        fitted, here = skew.original_sklearn_version, skew.current_sklearn_version
        raise ModelUnloadable(f"fitted with scikit-learn {fitted}, but this is {here}: install {fitted} or fit it again") from None
    except Exception as error:
        raise ModelUnloadable(f"the {format_name} artifact does not load ({type(error).__name__})") from error
