"""Rows as a scikit-learn estimator takes them: an array wherever that will do, else a data frame of the training types."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Rows, Table
from grpc_server.runtimes.sklearn.interval import Interval

Feed = Callable[[Rows], Any]


def feeding(estimator: Any, names: Sequence[str] | None, dtypes: Sequence[Dtype]) -> Feed | None:
    """From rows to what the estimator takes; None where it takes a Matrix as it is.

    Raises ModelUnloadable where it wants a data frame and pandas is not installed.
    """
    if takes_texts(estimator):
        return _texts
    plain = all(dtype.is_plain for dtype in dtypes)
    if names is not None and (not plain or _asks_for_names(estimator)):
        try:
            from grpc_server.runtimes.sklearn.data_frames import framing  # pandas takes half a second to import
        except ModuleNotFoundError:
            raise ModelUnloadable("the model takes a data frame, which needs pandas", "pip install 'foretell[frames]'") from None
        return framing(names, dtypes)
    return None if plain else _array


def takes_texts(estimator: Any) -> bool:
    """Whether a row is one text, as for a pipeline that begins with a vectorizer."""
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    tags = getattr(first, "__sklearn_tags__", None)
    takes = tags().input_tags if callable(tags) else None
    return takes is not None and takes.string and not takes.two_d_array


def _asks_for_names(estimator: Any) -> bool:
    """Whether something in it may look at columns by name, or is not scikit-learn's own."""
    inside = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    found = [estimator, *(part for part in inside if hasattr(part, "fit") and not isinstance(part, type))]
    foreign = any(not type(part).__module__.startswith("sklearn.") and not isinstance(part, Interval) for part in found)
    return foreign or any(isinstance(part, ColumnTransformer | FunctionTransformer) for part in found)


def _array(rows: Rows) -> Any:
    """Numbers as float64, whatever else as objects."""
    if not isinstance(rows, Table):
        return rows
    numbers = all(column.dtype.kind in "fib" for column in rows.columns)
    return np.column_stack([column if numbers else column.astype(object) for column in rows.columns])


def _texts(rows: Rows) -> Any:
    return rows.columns[0] if isinstance(rows, Table) else rows[:, 0]
