"""Ranges and values of each training column, as a manifest stores them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from grpc_server.rows.mixed_rows import FLOAT64, Dtype

Values: TypeAlias = Sequence[bool | int | float | str | None]
"""A column in JSON values: None for a missing one, RFC 3339 text for a time, seconds for a duration."""

_MOST_TEXTS = 100
"""A column with more distinct texts stores none of them."""


class ColumnValues(BaseModel):
    """Range and values of one column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float | None = None
    """The smallest number; for times, in seconds since 1970. None in a column of text."""
    high: float | None = None
    missing: float = Field(0.0, ge=0, le=1)
    """Share of the rows with a missing value."""
    texts: tuple[str, ...] = ()
    """The distinct texts, sorted."""


class TrainingValues(BaseModel):
    """Ranges and values of all training columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(gt=0)
    columns: dict[str, ColumnValues]


def observe(columns: Mapping[str, Values], dtypes: Mapping[str, Dtype]) -> TrainingValues:
    """Summarizes columns of equal length; a column without an entry in `dtypes` holds numbers."""
    summaries = {name: _summary(values, dtypes.get(name, FLOAT64)) for name, values in columns.items()}
    return TrainingValues(rows=len(next(iter(columns.values()))), columns=summaries)


def seconds(text: str) -> float:
    """Seconds since 1970 of a time in RFC 3339; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _summary(values: Values, dtype: Dtype) -> ColumnValues:
    known = [value for value in values if value is not None]
    missing = 1 - len(known) / len(values)
    if dtype.is_text:
        texts = sorted({str(value) for value in known})
        return ColumnValues(missing=missing, texts=tuple(texts) if len(texts) <= _MOST_TEXTS else ())
    numbers = [seconds(value) if isinstance(value, str) else float(value) for value in known]
    return ColumnValues(low=min(numbers, default=None), high=max(numbers, default=None), missing=missing)
