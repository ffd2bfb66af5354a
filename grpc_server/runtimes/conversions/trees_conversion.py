"""Converts a scikit-learn ensemble of trees to treelite (https://treelite.readthedocs.io)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import treelite
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from grpc_server.errors import ModelUnloadable, exception_text
from grpc_server.runtimes.runtime import Classes


def convert(estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:  # noqa: ARG001  # It stores no names.
    """The trees of an estimator as a treelite checkpoint. Raises ModelUnloadable for an estimator that treelite cannot import."""
    try:
        model = treelite.sklearn.import_model(estimator)
    except Exception as error:  # treelite raises three kinds of errors, and AssertionError.
        raise ModelUnloadable(f"treelite cannot import {type(estimator).__name__} ({exception_text(error)})") from error
    if not isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        for number in range(model.num_tree):
            tree = model.get_tree_accessor(number)
            tree.set_field("threshold", float64_thresholds(tree.get_field("threshold")))
    yield model.serialize_bytes()


def float64_thresholds(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds t' with `x <= t'` for a float64 x exactly if `float32(x) <= t`: scikit-learn rounds each row to float32.

    t' is halfway between the largest float32 not above t and the next float32, or just below it if halfway rounds up.
    """
    below = thresholds.astype(np.float32)
    below = np.where(below > thresholds, np.nextafter(below, np.float32(-np.inf)), below)
    halfway = (below.astype(np.float64) + np.nextafter(below, np.float32(np.inf))) / 2
    return np.where(halfway.astype(np.float32) == below, halfway, np.nextafter(halfway, -np.inf))
