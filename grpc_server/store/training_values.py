"""Values of training columns, and their ranges as a manifest stores them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from grpc_server.rows.mixed_rows import FLOAT64, Dtype

Scalar: TypeAlias = bool | int | float | str
Values: TypeAlias = Sequence[Scalar | None]
"""A column in JSON values: None for a missing one, RFC 3339 text for a time, seconds for a duration."""

_MOST_TEXTS = 100
"""A column with more distinct texts stores none of them."""

_TYPES = {"b": bool, "i": int, "u": int, "f": float, "M": str, "m": float}
"""Types of JSON values by kind of array."""


class SampleValues(Sequence[Scalar | None]):
    """A column of training data, held as an array and read as JSON values, with a summary that takes no loop over the rows."""

    def __init__(self, values: NDArray[Any], missing: NDArray[np.bool_]) -> None:
        """Both of shape (rows,). Values are bools, numbers, times in UTC or durations; or objects: JSON values already."""
        self.array, self.missing = values, missing

    @classmethod
    def of(cls, values: Iterable[Scalar | None]) -> "SampleValues":
        """The column of some JSON values."""
        if isinstance(values, SampleValues):
            return values
        held = list(values)
        array = np.empty(len(held), object)
        array[:] = held
        return cls(array, np.array([value is None for value in held], bool))

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.array)

    def __getitem__(self, index: Any) -> Any:
        """The JSON value of a row."""
        return None if self.missing[index] else _json_value(self.array[index])

    def at(self, rows: NDArray[np.int64]) -> list[Scalar | None]:
        """The JSON values of some rows."""
        if self.array.dtype.char in "Mmef":
            return [self[row] for row in rows.tolist()]
        chosen = self.array[rows].astype(object)
        chosen[self.missing[rows]] = None
        return list(chosen)

    def __contains__(self, value: object) -> bool:
        """Whether a row has the value."""
        return bool(self.missing.any()) if value is None else any(each == value for each in self)

    def count(self, value: object) -> int:
        """The number of rows that have the value."""
        return int(self.missing.sum()) if value is None else super().count(value)

    @cached_property
    def known(self) -> NDArray[Any]:
        """The values of the array that are not missing."""
        return self.array[~self.missing]

    @cached_property
    def types(self) -> frozenset[type]:
        """The types of the values that are not missing."""
        if not len(self.known):
            return frozenset()
        return frozenset(map(type, self.known)) if self.array.dtype == object else frozenset((_TYPES[self.array.dtype.kind],))

    @cached_property
    def texts(self) -> list[str]:
        """The distinct values as texts, sorted."""
        return sorted({str(value) for value in set(self.known.tolist())})

    @cached_property
    def span(self) -> tuple[int | float, int | float] | None:
        """The smallest and the largest value; times and durations in seconds, the former since 1970. None if all are missing."""
        if not len(self.known):
            return None
        numbers = [seconds(each) if isinstance(each, str) else each for each in map(_json_value, self._extremes())]
        return min(numbers), max(numbers)

    def _extremes(self) -> Sequence[Any]:
        return self.known if self.array.dtype == object else (self.known.min(), self.known.max())  # type: ignore[return-value]


def _json_value(value: Any) -> Scalar:
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[us]").item().isoformat()) + "Z"
    if isinstance(value, np.timedelta64):
        return float(value.astype("timedelta64[us]").item().total_seconds())
    if isinstance(value, np.float32 | np.float16):
        return float(str(value))  # 0.7 is the same float32 as 0.699999988079071.
    found: Scalar = value.item() if isinstance(value, np.generic) else value
    return found


class ColumnValues(BaseModel):
    """Range and values of one column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float | None = None
    """The smallest number; for times, in seconds since 1970. None in a column of text."""
    high: int | float | None = None
    missing: float = Field(0.0, ge=0, le=1)
    """Share of the rows with a missing value."""
    texts: tuple[str, ...] = ()
    """The distinct texts, sorted."""


class TrainingValues(BaseModel):
    """Ranges and values of all training columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(gt=0)
    columns: dict[str, ColumnValues]


def complete_rows(columns: Sequence[Values], rows: int) -> NDArray[np.int64]:
    """The indices of the rows, of so many, in which no column lacks a value."""
    return np.flatnonzero(~np.any([np.zeros(rows, bool), *(SampleValues.of(values).missing for values in columns)], axis=0))


def observe(columns: Mapping[str, Values], dtypes: Mapping[str, Dtype]) -> TrainingValues:
    """Summarizes columns of equal length; a column without an entry in `dtypes` holds numbers."""
    summaries = {name: _summary(SampleValues.of(values), dtypes.get(name, FLOAT64)) for name, values in columns.items()}
    return TrainingValues(rows=len(next(iter(columns.values()))), columns=summaries)


def seconds(text: str) -> float:
    """Seconds since 1970 of a time in RFC 3339; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _summary(values: SampleValues, dtype: Dtype) -> ColumnValues:
    missing = values.count(None) / len(values)
    if dtype.is_text:
        return ColumnValues(missing=missing, texts=tuple(values.texts) if len(values.texts) <= _MOST_TEXTS else ())
    low, high = values.span or (None, None)
    return ColumnValues(low=low, high=high, missing=missing)
