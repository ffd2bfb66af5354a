"""Converts rows to pandas data frames with the types of the training data, and reads those types from a frame."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grpc_server.rows.mixed_rows import Dtype, Rows, Table

_OBJECTS = {
    "string": "object",
    "empty": "object",
    "boolean": "bool",
    "integer": "int64",
    "floating": "float64",
    "mixed-integer-float": "float64",
    "decimal": "float64",
    "date": "date",
    "datetime": "datetime64[us]",
    "timedelta": "timedelta64[us]",
}
"""Types of columns of objects, by the kind that pandas infers. Estimators read numbers among objects as floats too."""


def frame_conversion(names: Sequence[str], dtypes: Sequence[Dtype]) -> Callable[[Rows], Any]:
    """A function from rows to a data frame with these columns."""
    if all(dtype.is_plain for dtype in dtypes):
        index = pd.Index(names)  # Making it takes seven times as long as making a frame with it.
        return lambda rows: pd.DataFrame(rows, columns=index, copy=False)

    def frame(rows: Rows) -> Any:
        columns = rows.columns if isinstance(rows, Table) else tuple(rows.T)
        return pd.DataFrame({name: _series(column, dtype) for name, column, dtype in zip(names, columns, dtypes, strict=True)})

    return frame


def dtype_of(column: Any) -> Dtype:
    """The type of a column of a data frame; Arrow's types as those of pandas. Raises ValueError for a type that no feature has."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return Dtype("category", tuple(column.cat.categories.tolist()))
    if isinstance(column.dtype, pd.ArrowDtype):
        return _arrow_dtype(column)
    name = _OBJECTS.get(pd.api.types.infer_dtype(column), "") if column.dtype == object else str(column.dtype)
    return Dtype(name or f"{pd.api.types.infer_dtype(column)} objects")


def _arrow_dtype(column: Any) -> Dtype:
    plain = column.dtype.numpy_dtype
    if plain.kind in "OU" or str(column.dtype).startswith("date"):
        return dtype_of(column.astype(object))
    names = {"i": "Int", "u": "UInt", "f": "Float"}
    bits = plain.itemsize * 8
    return Dtype("boolean" if plain.kind == "b" else f"{names[plain.kind]}{bits}" if plain.kind in names else str(plain))


def _series(column: NDArray[Any], dtype: Dtype) -> Any:
    if dtype.name == "category":
        codes = pd.Index(dtype.categories).get_indexer(column)  # -1, a missing value, for an unknown category.
        return pd.Series(pd.Categorical.from_codes(codes, categories=dtype.categories))
    if dtype.zone:
        return pd.Series(column).dt.tz_localize("UTC").dt.tz_convert(dtype.zone)
    if dtype.name == "date":
        return pd.Series(column.astype("datetime64[D]").astype(object), dtype=object)
    if dtype.name in ("str", "string"):
        return pd.Series(column, dtype=dtype.name)
    if dtype.is_number and dtype.name not in ("object", "bool") and column.dtype != dtype.name and _fits(column, dtype):
        return pd.Series(column, dtype=dtype.name)
    return pd.Series(column, dtype=object) if column.dtype == object else pd.Series(column)


def _fits(column: NDArray[Any], dtype: Dtype) -> bool:
    """Whether the type takes the values as they are, or rounds floats. Other integers stay in a wider type."""
    if column.dtype == object:
        return dtype.is_nullable
    if dtype.name == "boolean":
        return column.dtype.kind == "b"
    if dtype.name[0] in "fF":
        return True
    limits = np.iinfo(dtype.name.lower())
    known = column[column == column]  # Without NaN.
    whole = column.dtype.kind in "iu" or (_are_whole(known) and (dtype.is_nullable or len(known) == len(column)))
    return whole and (not len(known) or bool(limits.min <= known.min() and known.max() <= limits.max))


def _are_whole(numbers: NDArray[Any]) -> bool:
    """Whether floats are integers that are exact."""
    return bool(((numbers % 1 == 0) & (np.abs(numbers) <= 2**53)).all())
