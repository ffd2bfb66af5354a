"""Types of rows: a Matrix of float64 only, or a Table with columns of text, categories, times, integers or bools."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.float64]
"""Shape (rows, columns)."""

_INTEGERS = re.compile(r"u?int(8|16|32|64)|U?Int(8|16|32|64)")
_FLOATS = re.compile(r"float(16|32|64)|Float(32|64)")
_BOOLS = ("bool", "boolean")
_TIMES = re.compile(r"(datetime64|timedelta64)\[(s|ms|us|ns)(?:, (.+))?\]")
_TEXTS = ("object", "str", "string")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = 2**53
"""Up to this, a float64 holds every integer."""
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Dtype:
    """The type of a training column, by its pandas name, such as "int64", "Int64", "category" or "datetime64[us]".

    "date" is a column of dates, which pandas holds as objects.
    """

    name: str = "float64"
    categories: tuple[str | bool | int | float, ...] = ()
    """The values that the model knows, as it spells them; empty if it lists none."""
    missing: Literal["nan", "none"] = "nan"
    """The value of a missing text or category."""
    wide: bool = False
    """Whether values are integers that float64 does not hold."""

    def __post_init__(self) -> None:
        numeric = _INTEGERS.fullmatch(self.name) or _FLOATS.fullmatch(self.name)
        if not (numeric or _TIMES.fullmatch(self.name) or self.name in ("date", "category", *_BOOLS, *_TEXTS)):
            raise ValueError(f"{self.name!r} is not a column type: use a pandas type such as float64, object or datetime64[us]")
        if self.name == "category" and not self.categories:
            raise ValueError("a column of type category must list its categories")
        if not all(isinstance(each, str | bool | int | float) for each in self.categories):
            raise ValueError("a category is a text, a number or a bool")

    @cached_property
    def is_plain(self) -> bool:
        """Whether a Matrix can hold the column."""
        return self.name == "float64"

    @cached_property
    def is_text(self) -> bool:
        """Whether the values are text: by the type's name, or because one category is text."""
        return self.name in _TEXTS or (self.name == "category" and any(isinstance(value, str) for value in self.categories))

    @cached_property
    def is_number(self) -> bool:
        """Whether the values are numbers or bools."""
        return not self.is_text and not self.unit

    @cached_property
    def unit(self) -> str:
        """The unit of a time, a key of PER_SECOND; empty for other types."""
        found = _TIMES.fullmatch(self.name)
        return found[2] if found else "s" if self.name == "date" else ""

    @cached_property
    def is_nullable(self) -> bool:
        """Whether the type is one of those of pandas whose missing value is `pandas.NA`."""
        return self.name[0].isupper() or self.name == "boolean"

    @cached_property
    def is_duration(self) -> bool:
        """Whether the values are durations."""
        return self.name.startswith("timedelta64")

    @cached_property
    def zone(self) -> str:
        """The time zone of a timestamp; empty without one."""
        found = _TIMES.fullmatch(self.name)
        return (found[3] or "") if found else ""

    @cached_property
    def placeholder(self) -> Any:
        """A valid value of the column, to try a model on."""
        if self.categories:
            return self.categories[0]
        return "" if self.is_text else 0 if self.unit else False if self.name in _BOOLS else 0.0

    def array(self, values: Sequence[Any]) -> NDArray[Any]:
        """The values as a column, shape (rows,); None is a missing value.

        Times are integers in `unit` since the epoch. Integers with a missing value become float64 if that holds them exactly, else
        objects.
        """
        if self.unit:
            kind = "timedelta64" if self.is_duration else "datetime64"
            return np.array(values, f"{kind}[{self.unit}]")
        missing = None in values
        integers = _INTEGERS.fullmatch(self.name)
        if _FLOATS.fullmatch(self.name) or (integers and missing and integer_dtype(values) is None):
            return np.array(values, np.float64)
        if values and not missing and (integers or self.name in _BOOLS):
            return _exact(values)  # Keeps fractions and integers that a careless caller sends.
        held = np.empty(len(values), object)
        nothing = np.nan if self.missing == "nan" else None
        held[:] = [nothing if value is None else value for value in values] if missing else values
        return held

    def accepts_json(self, value: bool | int | float | str | None) -> bool:
        """Whether the column can hold this value of a JSON document."""
        if value is None:
            return True
        if not isinstance(value, str):
            return not self.is_text
        if self.unit and not self.is_duration:
            try:
                return bool(datetime.fromisoformat(value))
            except ValueError:
                return False
        return self.is_text

    def from_json(self, value: bool | int | float | str | None) -> bool | int | float | str | None:
        """The value for `array` of a JSON value that the column accepts. Timestamps are ISO 8601, durations seconds."""
        if isinstance(value, str) and self.unit:
            moment = datetime.fromisoformat(value)
            since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
            return since // timedelta(microseconds=1) * PER_SECOND[self.unit] // 10**6
        if self.unit and value is not None:
            return round(float(value) * PER_SECOND[self.unit])
        return value


FLOAT64 = Dtype()


def integer_dtype(values: Iterable[Any]) -> Dtype | None:
    """The type of a column with these integers, if float64 does not hold each exactly; else None."""
    known = [0, *(value for value in values if value is not None)]
    low, high = min(known), max(known)
    return None if low >= -_EXACT and high <= _EXACT else Dtype("int64" if high < 2**63 else "uint64", wide=True)


def _exact(numbers: Sequence[Any]) -> NDArray[Any]:
    """The numbers as integers or floats, shape (rows,); as objects if one type would round some."""
    held = np.array(numbers)
    if held.dtype.kind != "f" or not any(isinstance(each, int) and abs(each) > _EXACT for each in numbers):
        return held
    unsigned = all(isinstance(each, int) for each in numbers) and min(numbers) >= 0
    return np.array(numbers, np.uint64 if unsigned else object)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows as columns in training order, each of shape (rows,): float64, int64, uint64, bool, datetime64, timedelta64 or object.

    An object is text, bytes, a number, a bool, NaN or None.
    """

    columns: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.columns[0])

    def __getitem__(self, rows: slice) -> "Table":
        """A slice of the rows."""
        return Table(tuple(column[rows] for column in self.columns))


Rows: TypeAlias = Matrix | Table
"""Rows as a model takes them, columns in training order."""

Row: TypeAlias = Sequence[float]
NumberRows: TypeAlias = tuple[Row] | Matrix
"""Rows or outputs as float64. A single row is a tuple: making a matrix of it takes longer than a small model does."""
RequestRows: TypeAlias = NumberRows | Table
"""The rows of one request. A model with a column that is not float64 gets a Table for every request."""


def rows_from_columns(columns: Iterable[Sequence[Any]], dtypes: Sequence[Dtype]) -> Rows:
    """Rows from the values of each column; a Matrix if every column is float64."""
    arrays = tuple(dtype.array(values) for dtype, values in zip(dtypes, columns, strict=True))
    return np.column_stack(arrays) if all(dtype.is_plain for dtype in dtypes) else Table(arrays)


def concatenate(tables: Sequence[Table]) -> Table:
    """The rows of all tables, in order; no number is rounded beside those of another table."""
    if len(tables) == 1:
        return tables[0]
    return Table(tuple(map(_joined, zip(*(table.columns for table in tables), strict=True))))


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    kinds = {part.dtype.kind for part in parts}
    if len(kinds) > 1 and kinds <= set("iuf"):
        return _exact([value for part in parts for value in part.tolist()])
    return np.concatenate(parts)


def repeat_rows(rows: Rows, count: int) -> Rows:
    """`count` rows: `rows` repeated from the start."""
    if isinstance(rows, Table):
        return Table(tuple(np.resize(column, count) for column in rows.columns))
    return np.resize(rows, (count, rows.shape[1]))


def placeholder_row(dtypes: Sequence[Dtype]) -> Rows:
    """One row of valid values, to try a model on."""
    return rows_from_columns([[dtype.placeholder] for dtype in dtypes], dtypes)
