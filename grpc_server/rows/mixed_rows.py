"""Rows of which some columns are no plain numbers: text, categories, times. Rows of nothing but numbers are a Matrix."""

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

_NUMBERS = re.compile(r"float(32|64)|u?int(8|16|32|64)")
_TIMES = re.compile(r"(datetime64|timedelta64)\[(s|ms|us|ns)(?:, (.+))?\]")
_TEXTS = ("object", "str", "string")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Dtype:
    """The type of a training column, by the name that pandas gives it, such as "int64", "category" or "datetime64[us]"."""

    name: str = "float64"
    categories: tuple[str | bool | int | float, ...] = ()
    """What the model knows the column to hold, as it spells it; empty where it does not say."""
    missing: Literal["nan", "none"] = "nan"
    """What stands for a missing text or category."""

    def __post_init__(self) -> None:
        if not (_NUMBERS.fullmatch(self.name) or _TIMES.fullmatch(self.name) or self.name in ("bool", "category", *_TEXTS)):
            raise ValueError(f"{self.name!r} is no type of a column")
        if self.name == "category" and not self.categories:
            raise ValueError("a column of categories must say which")

    @cached_property
    def is_plain(self) -> bool:
        """Whether a Matrix can hold the column."""
        return self.name == "float64"

    @cached_property
    def is_text(self) -> bool:
        """Whether its values are text, as far as one can tell."""
        return self.name in _TEXTS or (self.name == "category" and any(isinstance(value, str) for value in self.categories))

    @cached_property
    def is_number(self) -> bool:
        """Whether its values are numbers or bools."""
        return not self.is_text and not self.unit

    @cached_property
    def unit(self) -> str:
        """The unit of a time, one of PER_SECOND; empty where it is none."""
        found = _TIMES.fullmatch(self.name)
        return found[2] if found else ""

    @cached_property
    def is_duration(self) -> bool:
        """Whether it is a length of time."""
        return self.name.startswith("timedelta64")

    @cached_property
    def zone(self) -> str:
        """The time zone of a point in time; empty where it has none."""
        found = _TIMES.fullmatch(self.name)
        return (found[3] or "") if found else ""

    @cached_property
    def blank(self) -> Any:
        """A value that the column may well hold, to try a model on."""
        if self.categories:
            return self.categories[0]
        return "" if self.is_text else 0 if self.unit else False if self.name == "bool" else 0.0

    def array(self, values: Sequence[Any]) -> NDArray[Any]:
        """The column of these values, None standing for a missing one.

        Times are whole numbers of the unit since the epoch. What is missing from whole numbers makes them float64.
        """
        if self.unit:
            kind = "timedelta64" if self.is_duration else "datetime64"
            return np.array(values, f"{kind}[{self.unit}]")
        missing = None in values
        if _NUMBERS.fullmatch(self.name):
            exact = self.name.startswith(("int", "uint")) and not missing
            return np.array(values, np.int64 if exact else np.float64)
        if self.name == "bool" and not missing:
            return np.array(values, np.bool_)
        held = np.empty(len(values), object)
        held[:] = [self._nothing if value is None else value for value in values] if missing else values
        return held

    @property
    def _nothing(self) -> float | None:
        return np.nan if self.missing == "nan" else None

    def takes(self, value: bool | int | float | str | None) -> bool:
        """Whether the column can hold a value of JSON."""
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

    def plain(self, value: bool | int | float | str | None) -> bool | int | float | str | None:
        """A value of JSON that the column takes, as `array` takes it."""
        if isinstance(value, str) and self.unit:
            moment = datetime.fromisoformat(value)
            since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
            return since // timedelta(microseconds=1) * PER_SECOND[self.unit] // 10**6
        if self.unit and value is not None:
            return round(float(value) * PER_SECOND[self.unit])
        return value


PLAIN = Dtype()


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows in columns, in training order: each an array of float64, int64, bool, datetime64 or timedelta64, or of objects.

    An object is text, bytes, a number, a bool, NaN or None.
    """

    columns: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        """How many rows."""
        return len(self.columns[0])

    def __getitem__(self, rows: slice) -> "Table":
        """Some of the rows."""
        return Table(tuple(column[rows] for column in self.columns))


Rows: TypeAlias = Matrix | Table


Row: TypeAlias = Sequence[float]
Outputs: TypeAlias = tuple[Row] | Matrix
"""Numbers in the order of the model, a row or several: a matrix of one row costs more to make than the model takes to answer it."""
JobRows: TypeAlias = Outputs | Table
"""What the rows of a request are: a Table where some columns are no plain numbers, and then for all requests to the model."""


def rows_of(columns: Iterable[Sequence[Any]], dtypes: Sequence[Dtype]) -> Rows:
    """Rows from the values of each column; a Matrix where all columns are plain."""
    arrays = tuple(dtype.array(values) for dtype, values in zip(dtypes, columns, strict=True))
    return np.column_stack(arrays) if all(dtype.is_plain for dtype in dtypes) else Table(arrays)


def joined(tables: Sequence[Table]) -> Table:
    """All rows, in order."""
    if len(tables) == 1:
        return tables[0]
    return Table(tuple(np.concatenate(parts) for parts in zip(*(table.columns for table in tables), strict=True)))


def repeated(rows: Rows, count: int) -> Rows:
    """So many rows: these, again and again."""
    if isinstance(rows, Table):
        return Table(tuple(np.resize(column, count) for column in rows.columns))
    return np.resize(rows, (count, rows.shape[1]))


def blank_row(dtypes: Sequence[Dtype]) -> Rows:
    """One row to try a model on, of values that it may well take."""
    return rows_of([[dtype.blank] for dtype in dtypes], dtypes)
