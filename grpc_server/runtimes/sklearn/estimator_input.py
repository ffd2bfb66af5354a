"""Converts rows to the input of a scikit-learn estimator: an array if it takes one, else a data frame of the training types."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Rows, Table
from grpc_server.runtimes.sklearn.first_step import takes_dictionaries, takes_texts
from grpc_server.runtimes.sklearn.interval_regressor import IntervalRegressor

InputConversion = Callable[[Rows], Any]
"""From rows to an estimator's input."""


def input_conversion(estimator: Any, names: Sequence[str] | None, dtypes: Sequence[Dtype]) -> InputConversion | None:
    """The conversion for rows of these types; None if the estimator takes a Matrix as it is.

    `names` are the names of the columns if the estimator was fitted on a data frame. Raises ModelUnloadable if it needs a data
    frame and pandas is not installed.
    """
    if takes_texts(estimator):
        return _first_column
    if takes_dictionaries(estimator):
        return partial(_dictionaries, names or ())
    plain = all(dtype.is_plain for dtype in dtypes)
    floats = all(dtype.name.startswith("float") for dtype in dtypes)
    if names is not None and (not floats or _may_use_names(estimator)):
        try:
            from grpc_server.runtimes.sklearn.data_frames import frame_conversion  # pandas takes half a second to import.
        except ModuleNotFoundError:
            raise ModelUnloadable("the model takes a data frame, which needs pandas", "pip install 'foretell[frames]'") from None
        return frame_conversion(names, dtypes)
    return None if plain else _array(dtypes)


def input_by_trial(
    names: Sequence[str], dtypes: Sequence[Dtype], sample: Rows, answer: Callable[[Any], object], *, frame_first: bool
) -> InputConversion | None:
    """The conversion for an estimator that does not know its columns: the first of several whose result `answer` takes.

    A data frame comes first if it is known that the estimator was fitted on one, and a list of texts before a table of one column.
    """
    whole: list[InputConversion | None] = [None if all(dtype.is_plain for dtype in dtypes) else _array(dtypes)]
    try:
        from grpc_server.runtimes.sklearn.data_frames import frame_conversion  # pandas takes half a second to import.

        whole.insert(0 if frame_first else 1, frame_conversion(names, dtypes))
    except ModuleNotFoundError:
        pass
    single = [_first_column] if len(dtypes) == 1 else []
    choices = [*single, *whole] if dtypes[0].is_text else [*whole, *single]

    def is_answered(choice: InputConversion | None) -> bool:
        try:
            answer(sample if choice is None else choice(sample))
        except Exception:  # An estimator may raise anything.
            return False
        return True

    return next(filter(is_answered, choices), choices[0])


def _may_use_names(estimator: Any) -> bool:
    """Whether a part of the estimator selects columns by name, or is not scikit-learn's own and might."""
    parts = [estimator, *(part for part in _parameters(estimator) if hasattr(part, "fit") and not isinstance(part, type))]
    foreign = any(not type(part).__module__.startswith("sklearn.") and not isinstance(part, IntervalRegressor) for part in parts)
    return foreign or any(isinstance(part, ColumnTransformer | FunctionTransformer) for part in parts)


def _parameters(estimator: Any) -> Iterable[Any]:
    try:
        return tuple(estimator.get_params(deep=True).values()) if hasattr(estimator, "get_params") else ()
    except AttributeError:  # An older version saved it, without a parameter that was added since.
        return tuple(vars(estimator).values())


def _array(dtypes: Sequence[Dtype]) -> InputConversion:
    """To an array of shape (rows, columns): numbers if all columns are, and none is rounded beside the others; else objects."""
    types = [np.dtype(dtype.name) if dtype.name.startswith("float") else None for dtype in dtypes]

    def array(rows: Rows) -> Any:
        if not isinstance(rows, Table):
            return rows
        columns = [column.astype(of, copy=False) if of else column for column, of in zip(rows.columns, types, strict=True)]
        numbers = all(column.dtype.kind in "fiub" for column in columns)
        exact = numbers and (len({column.dtype for column in columns}) == 1 or not any(map(_is_beyond_float64, columns)))
        return np.column_stack(columns if exact else [column.astype(object) for column in columns])

    return array


def _is_beyond_float64(column: Any) -> bool:
    return column.dtype.kind in "iu" and bool((np.abs(column.astype(np.float64)) >= 2**53).any())


def _first_column(rows: Rows) -> Any:
    return rows.columns[0] if isinstance(rows, Table) else rows[:, 0]


def _dictionaries(names: Sequence[str], rows: Rows) -> list[dict[str, Any]]:
    """For each row, its values by name without the missing ones."""
    columns = [column.tolist() for column in (rows.columns if isinstance(rows, Table) else rows.T)]
    known = (zip(names, values, strict=True) for values in zip(*columns, strict=True))
    return [{name: value for name, value in row if value is not None and value == value} for row in known]
