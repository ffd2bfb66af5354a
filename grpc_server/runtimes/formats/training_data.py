"""Training data on disk, read with pandas: the values of each column as JSON has them."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import PLAIN, Dtype

Scalar: TypeAlias = bool | int | float | str

READERS = {".csv": "read_csv", ".parquet": "read_parquet"}


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows in columns."""

    values: dict[str, list[Scalar | None]]
    """None for what is missing; a time as its RFC 3339 text."""
    dtypes: dict[str, Dtype]

    def __len__(self) -> int:
        """How many rows."""
        return len(next(iter(self.values.values()), ()))


def read_samples(file: Path, texts: Iterable[str], *, times: bool) -> Samples:
    """The rows of a CSV or Parquet file. `texts` are columns that hold text, however much they look like numbers.

    With `times`, other columns that hold nothing but points in time in ISO 8601 are read as such. Raises ModelError for what cannot
    be read, and where pandas is not installed.
    """
    frame = _frame(file, set(texts))
    values, dtypes = {}, {}
    for name in frame.columns:
        column = _in_time(frame[name]) if times and name not in texts else frame[name]
        values[str(name)] = list(_plain(column, file))
        dtypes[str(name)] = _dtype(column)
    if not values or not next(iter(values.values())):
        raise ModelError(f"{file.name} holds no rows")
    return Samples(values, dtypes)


def _frame(file: Path, texts: set[str]) -> Any:
    if file.suffix not in READERS:
        raise ModelError(f"{file.name} is none of {', '.join(READERS)}")
    try:
        import pandas as pd

        if file.suffix == ".csv":
            head = pd.read_csv(file, nrows=0).columns
            return pd.read_csv(file, dtype={name: "str" for name in head if name in texts})
        return pd.read_parquet(file)
    except ModuleNotFoundError:
        raise ModelError("reading training data needs pandas: pip install 'foretell[frames]'") from None
    except ImportError:
        raise ModelError("reading Parquet needs pyarrow: pip install 'foretell[parquet]'") from None
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror or 'it is damaged'}") from None
    except (ValueError, ArithmeticError) as error:  # A parser's errors are ValueErrors, pyarrow's too.
        raise ModelError(f"{file.name} cannot be read: {' '.join(str(error).split())[:200]}") from None


def _in_time(column: Any) -> Any:
    """The column as points in time, where it is nothing but the text of such."""
    import pandas as pd

    first = column.dropna().head(1).tolist()
    if not first or not isinstance(first[0], str) or not first[0][:4].isdecimal() or first[0][4:5] != "-":
        return column
    try:
        return pd.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError):
        return column


def _plain(column: Any, file: Path) -> Iterator[Scalar | None]:
    import pandas as pd

    for value, missing in zip(column.tolist(), pd.isna(column).tolist(), strict=True):
        if missing:
            yield None
        elif isinstance(value, pd.Timestamp):
            moment = value.tz_localize("UTC") if value.tzinfo is None else value.tz_convert("UTC")
            yield moment.isoformat().replace("+00:00", "Z")
        elif isinstance(value, pd.Timedelta):
            yield value.total_seconds()
        elif isinstance(value, float) and math.isinf(value):
            raise ModelError(
                f"{file.name}: the column {column.name!r} holds infinities, which no contract takes: leave those rows out"
            )
        elif isinstance(value, bool | int | float | str):
            yield value
        else:
            raise ModelError(f"{file.name}: the column {column.name!r} holds {type(value).__name__}, which no feature can be")


def _dtype(column: Any) -> Dtype:
    from grpc_server.runtimes.sklearn.data_frames import dtypes_of

    try:
        return dtypes_of(column.to_frame())[str(column.name)]
    except ValueError:
        return PLAIN
