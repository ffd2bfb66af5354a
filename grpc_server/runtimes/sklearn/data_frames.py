"""Converts rows to pandas data frames with the types of the training data, and reads those types from a frame."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from grpc_server.rows.mixed_rows import Dtype, Rows, Table


def frame_conversion(names: Sequence[str], dtypes: Sequence[Dtype]) -> Callable[[Rows], Any]:
    """A function from rows to a data frame with these columns."""
    if all(dtype.is_plain for dtype in dtypes):
        return lambda rows: pd.DataFrame(rows, columns=list(names), copy=False)

    def frame(rows: Rows) -> Any:
        columns = rows.columns if isinstance(rows, Table) else tuple(rows.T)
        return pd.DataFrame({name: _series(column, dtype) for name, column, dtype in zip(names, columns, dtypes, strict=True)})

    return frame


def dtype_of(column: Any) -> Dtype:
    """The type of a column of a data frame. Raises ValueError for a type that no feature can have."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return Dtype("category", tuple(column.cat.categories.tolist()))
    return Dtype(str(column.dtype))


def _series(column: NDArray[Any], dtype: Dtype) -> Any:
    if dtype.name == "category":
        return pd.Series(pd.Categorical(column, categories=list(dtype.categories) or None))
    if dtype.zone:
        return pd.Series(column).dt.tz_localize("UTC").dt.tz_convert(dtype.zone)
    if dtype.name in ("str", "string"):
        return pd.Series(column, dtype=dtype.name)
    if dtype.is_number and dtype.name not in ("object", "bool") and column.dtype != dtype.name:
        castable = dtype.name.startswith("float") or column.dtype.kind != "f"  # Integers with a missing value stay float64.
        return pd.Series(column.astype(dtype.name) if castable else column)
    return pd.Series(column, dtype=object) if column.dtype == object else pd.Series(column)
