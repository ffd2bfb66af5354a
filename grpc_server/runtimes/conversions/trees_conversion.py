"""From a scikit-learn ensemble of trees to treelite (https://treelite.readthedocs.io)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import treelite
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from grpc_server.errors import ModelUnloadable
from grpc_server.runtimes.runtime import Classes


def conversions(estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:  # noqa: ARG001
    """The trees of one estimator; treelite keeps no names. Raises ModelUnloadable for one that treelite cannot import."""
    try:
        model = treelite.sklearn.import_model(estimator)
    except Exception as error:  # treelite raises errors of three kinds, and asserts.
        raise ModelUnloadable(
            f"treelite cannot import {type(estimator).__name__} ({type(error).__name__}: {str(error)[:120]})"
        ) from error
    if not isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        for number in range(model.num_tree):
            tree = model.get_tree_accessor(number)
            tree.set_field("threshold", in_double(tree.get_field("threshold")))
    yield model.serialize_bytes()


def in_double(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds that decide on a float64 as `thresholds` do once scikit-learn has rounded it to float32: `float32(x) <= t`.

    That holds up to half the way from the largest float32 not above `t` to the next one, and there too if it rounds down.
    """
    below = thresholds.astype(np.float32)
    below = np.where(below > thresholds, np.nextafter(below, np.float32(-np.inf)), below)
    middle = (below.astype(np.float64) + np.nextafter(below, np.float32(np.inf))) / 2
    return np.where(middle.astype(np.float32) == below, middle, np.nextafter(middle, -np.inf))
