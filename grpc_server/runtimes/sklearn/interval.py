"""Three regressors as one: a value, and the quantiles below and above it."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Interval(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """What is trained as `{"value": ..., "lower": ..., "upper": ...}`, all three on the same columns."""

    def __init__(self, value: Any, lower: Any, upper: Any) -> None:
        self.value = value
        self.lower = lower
        self.upper = upper

    @classmethod
    def of(cls, held: Any) -> Self | None:
        """The interval that a dictionary of fitted regressors is; None where it is none."""
        if not isinstance(held, dict) or set(held) != {"value", "lower", "upper"}:
            return None
        widths = {getattr(part, "n_features_in_", None) for part in held.values()}
        return cls(**held) if len(widths) == 1 and None not in widths else None

    @property
    def n_features_in_(self) -> int:
        """How many columns a row has."""
        return int(self.value.n_features_in_)

    @property
    def feature_names_in_(self) -> Any:
        """Names of the training columns. Raises AttributeError where the estimators do not know them."""
        return self.value.feature_names_in_

    def predict(self, rows: Any) -> Any:
        """The value alone."""
        return self.value.predict(rows)

    def predict_interval(self, rows: Any) -> Any:
        """Value, lower and upper end, shape (rows, 3)."""
        return np.column_stack([part.predict(rows) for part in (self.value, self.lower, self.upper)])
