"""Transformers and estimators of a user's own that record nothing of the columns they were fitted on."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin


class Stateless(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed.
    def fit(self, _rows: Any, _labels: Any = None) -> Self:
        return self


class Logarithm(Stateless):
    def transform(self, rows: Any) -> Any:
        return np.log1p(np.abs(np.asarray(rows, float)))


class ByIndex(Stateless):
    """Fails on a data frame. As in ageron/handson-ml#135."""

    def transform(self, rows: Any) -> Any:
        return np.c_[rows, rows[:, 1] / (1 + rows[:, 0] ** 2)]


class ByName(Stateless):
    """Fails on an array."""

    def transform(self, frame: Any) -> Any:
        return frame.assign(difference=frame["b"] - frame["a"])[["difference", "b"]]


class Bare:
    """Nothing of scikit-learn, but the two methods that a pipeline calls."""

    def fit(self, _rows: Any, _labels: Any = None) -> Self:
        return self

    def transform(self, rows: Any) -> Any:
        return 2 * np.asarray(rows)


class OnlyMixin(TransformerMixin):  # type: ignore[misc]
    def fit(self, _rows: Any, _labels: Any = None) -> Self:
        return self

    def transform(self, rows: Any) -> Any:
        return np.asarray(rows) ** 2


class TextLengths(Stateless):
    """Of a column of texts beside one of numbers, in a data frame."""

    def transform(self, frame: Any) -> Any:
        return np.column_stack((frame["color"].str.len(), frame["size"]))


class LowerCase(Stateless):
    def transform(self, texts: Any) -> Any:
        return [str(text).lower() for text in texts]


class Keyword(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifies texts by a word."""

    def fit(self, _texts: Any, labels: Any) -> Self:
        self.classes_ = np.unique(labels)
        return self

    def predict(self, texts: Any) -> Any:
        return self.classes_[[int("red" in text) for text in texts]]


class Doubled(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor of a single number a row."""

    def fit(self, numbers: Any, _values: Any) -> Self:
        self.fitted_ = len(numbers)
        return self

    def predict(self, numbers: Any) -> Any:
        return 2 * np.asarray(numbers).ravel()
