"""Estimators with one fault each in what they answer. They pickle by reference, as a user's own classes do."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin


class Sigmoid(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed.
    """Labels the sign of the first column; `fault` names what is wrong with its probabilities."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def fit(self, rows: Any, labels: Any) -> Self:
        self.n_features_in_, self.classes_ = np.shape(rows)[1], np.unique(labels)
        return self

    def predict(self, rows: Any) -> Any:
        if self.fault == "label":
            return np.array(["other"] * len(rows))
        if self.fault == "margin":
            return np.asarray(rows)[:, 0]
        return self.classes_[(np.asarray(rows)[:, 0] > 0).astype(int)]

    def predict_proba(self, rows: Any) -> Any:
        first = np.asarray(rows, float)[:, 0]
        second = 1 / (1 + np.exp(-first))
        both = np.column_stack((1 - second, second))
        return {
            "three": np.column_stack((both, 0 * second)),
            "one": both[:, 1:],
            "flat": second,
            "deep": both[:, :, None],
            "short": both[1:],
            "nan": np.where(first[:, None] > 2, np.nan, both),
            "infinite": np.where(first[:, None] > 2, np.inf, both),
            "beyond": both * 1.5,
            "negative": both - 0.3,
            "swapped": both[:, ::-1],
            "threshold": both + [[0.2, -0.2]] * (np.abs(first[:, None]) < 0.3),
        }.get(self.fault, both)


class Unfinished(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Answers the first column, and fails or gives no number where it is above 2."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def fit(self, rows: Any, _values: Any) -> Self:
        self.n_features_in_ = np.shape(rows)[1]
        return self

    def predict(self, rows: Any) -> Any:
        first = np.asarray(rows, float)[:, 0]
        if self.fault == "raise" and (first > 2).any():
            raise ArithmeticError("too large")
        return np.where(first > 2, np.inf if self.fault == "infinite" else 0.5, first)


class Shared(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transforms each row with something of the rows beside it, or of earlier calls."""

    def __init__(self, by: str) -> None:
        self.by = by

    def fit(self, rows: Any, _values: Any = None) -> Self:
        self.n_features_in_, self.calls_ = np.shape(rows)[1], 0
        return self

    def transform(self, rows: Any) -> Any:
        rows = np.asarray(rows, float)
        self.calls_ += 1
        match self.by:
            case "mean":
                return rows - rows.mean(0)
            case "range":  # aws/amazon-sagemaker-examples#1012
                return (rows - rows.min(0)) / np.maximum(rows.max(0) - rows.min(0), 1e-9)
            case "rank":
                return rows.argsort(0).argsort(0)
            case "lag":
                return np.vstack((rows[:1], rows[:-1]))
            case "calls":
                return rows + self.calls_
            case "random":
                return rows + np.random.default_rng().normal(size=rows.shape)
        return rows
