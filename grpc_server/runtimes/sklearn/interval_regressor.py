"""Three regressors served as one: a value and the quantiles below and above it."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class IntervalRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed.
    """Made from a saved dictionary `{"value": ..., "lower": ..., "upper": ...}` of regressors of the same columns."""

    def __init__(self, value: Any, lower: Any, upper: Any) -> None:
        self.value = value
        self.lower = lower
        self.upper = upper

    @classmethod
    def of(cls, saved: Any) -> Self | None:
        """The three fitted regressors of a dictionary; None for any other object."""
        if not isinstance(saved, dict) or set(saved) != {"value", "lower", "upper"}:
            return None
        widths = {getattr(part, "n_features_in_", None) for part in saved.values()}
        return cls(**saved) if len(widths) == 1 and None not in widths else None

    @property
    def n_features_in_(self) -> int:
        """Number of columns of a row."""
        return int(self.value.n_features_in_)

    @property
    def feature_names_in_(self) -> Any:
        """Names of the training columns. Raises AttributeError if the regressors were fitted on an array."""
        return self.value.feature_names_in_

    def predict(self, rows: Any) -> Any:
        """The value, shape (rows,)."""
        return self.value.predict(rows)

    def predict_interval(self, rows: Any) -> Any:
        """Value, lower and upper end, shape (rows, 3)."""
        return np.column_stack([part.predict(rows) for part in (self.value, self.lower, self.upper)])
