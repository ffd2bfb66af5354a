"""What the training data of a model held, column by column, as a manifest keeps it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from grpc_server.rows.mixed_rows import FLOAT64, Dtype

Values: TypeAlias = Sequence[bool | int | float | str | None]
"""A column as JSON has it: None where it is missing, a time as its RFC 3339 text, a length of time in seconds."""

_FEW = 100
"""Most different texts that are kept."""


class ColumnValues(BaseModel):
    """One column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float | None = None
    """The smallest number; of times in seconds since 1970. None where there is none."""
    high: float | None = None
    missing: float = Field(0.0, ge=0, le=1)
    """The share of rows in which it was missing."""
    texts: tuple[str, ...] = ()
    """The different texts, where these are few."""


class TrainingValues(BaseModel):
    """The training data as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(gt=0)
    columns: dict[str, ColumnValues]
    """By the names of the training columns."""


def observe(columns: Mapping[str, Values], dtypes: Mapping[str, Dtype]) -> TrainingValues:
    """What these columns hold; those that `dtypes` does not name are plain numbers."""
    rows = len(next(iter(columns.values())))
    return TrainingValues(
        rows=rows, columns={name: _observed(values, dtypes.get(name, FLOAT64)) for name, values in columns.items()}
    )


def seconds(text: str) -> float:
    """Those since 1970 of a time in RFC 3339."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _observed(values: Values, dtype: Dtype) -> ColumnValues:
    known = [value for value in values if value is not None]
    missing = 1 - len(known) / len(values)
    if dtype.is_text:
        texts = sorted({str(value) for value in known})
        return ColumnValues(missing=missing, texts=tuple(texts) if len(texts) <= _FEW else ())
    numbers = [seconds(value) if isinstance(value, str) else float(value) for value in known]
    return ColumnValues(low=min(numbers, default=None), high=max(numbers, default=None), missing=missing)
