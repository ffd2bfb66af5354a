"""Training data on disk, CSV or Parquet, read with pandas into the values that JSON can hold."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foretell_contract.source.spelling import did_you_mean
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import FLOAT64, Dtype
from grpc_server.store.manifest import Manifest, Scalar

_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows of training data, by column."""

    values: dict[str, list[Scalar | None]]
    """None for a missing value, RFC 3339 text for a time, seconds for a length of time."""
    dtypes: dict[str, Dtype]


def read_samples(file: Path, texts: Iterable[str], *, times: bool) -> Samples:
    """The rows of a CSV or Parquet file.

    `texts` are columns that hold text even if every value looks like a number. With `times`, another column becomes a time if all
    its values are ISO 8601. Raises ModelError for a file that cannot be read or holds no rows, and if pandas is not installed.
    """
    frame = _frame(file, set(texts))
    values, dtypes = {}, {}
    for name in frame.columns:
        column = _as_times(frame[name]) if times and name not in texts else frame[name]
        values[str(name)] = list(_scalars(column, file))
        dtypes[str(name)] = _dtype(column)
    if not values or not next(iter(values.values())):
        raise ModelError(f"{file.name} holds no rows")
    return Samples(values, dtypes)


def samples_of(data: Path, manifest: Manifest) -> Samples:
    """The rows of the data, with a manifest's columns among them.

    Raises ModelError if the data lacks a column, or holds text where the model takes numbers.
    """
    texts = [name for name, dtype in manifest.dtypes.items() if dtype.is_text]
    samples = read_samples(data, texts, times=any(dtype.unit for dtype in manifest.dtypes.values()))
    check_names(manifest.columns, samples, data)
    for name, dtype in zip(manifest.columns, manifest.column_dtypes, strict=True):
        if not dtype.is_text:
            check_values(name, dtype, samples.values[name])
    return samples


def check_names(names: Iterable[str], samples: Samples, data: Path) -> None:
    """Raises ModelError if the data lacks one of the columns."""
    for name in names:
        if name not in samples.values:
            raise ModelError(f"{data.name} has no column {name!r}{did_you_mean(name, samples.values)}")


def check_values(name: str, dtype: Dtype, values: Iterable[Scalar | None]) -> None:
    """Raises ModelError if the column holds a value that is none of its type."""
    for value in values:
        if not dtype.accepts_json(value):
            raise ModelError(f"the column {name!r} holds {value!r} in the data, but the model takes numbers there")


def _frame(file: Path, texts: set[str]) -> Any:
    if file.suffix not in _SUFFIXES:
        raise ModelError(f"{file.name} is none of {', '.join(_SUFFIXES)}")
    try:
        import pandas as pd

        if file.suffix == ".parquet":
            return pd.read_parquet(file)
        header = pd.read_csv(file, nrows=0).columns
        return pd.read_csv(file, dtype={name: "str" for name in header if name in texts})
    except ModuleNotFoundError:
        raise ModelError("reading training data needs pandas: pip install 'foretell[frames]'") from None
    except ImportError:
        raise ModelError("reading Parquet needs pyarrow: pip install 'foretell[parquet]'") from None
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror or 'it is damaged'}") from None
    except (ValueError, ArithmeticError) as error:  # Parser errors are ValueErrors, pyarrow's too.
        raise ModelError(f"{file.name} cannot be read: {' '.join(str(error).split())[:200]}") from None


def _as_times(column: Any) -> Any:
    """The column as times if all its values are ISO 8601 text, else the column itself."""
    import pandas as pd

    first = column.dropna().head(1).tolist()
    if not first or not isinstance(first[0], str) or not first[0][:4].isdecimal() or first[0][4:5] != "-":
        return column
    try:
        return pd.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError):
        return column


def _scalars(column: Any, file: Path) -> Iterator[Scalar | None]:
    import pandas as pd

    for value, missing in zip(column.tolist(), pd.isna(column).tolist(), strict=True):
        if missing:
            yield None
        elif isinstance(value, pd.Timestamp):
            moment = value.tz_localize("UTC") if value.tzinfo is None else value.tz_convert("UTC")
            yield moment.isoformat().replace("+00:00", "Z")
        elif isinstance(value, pd.Timedelta):
            yield value.total_seconds()
        else:
            yield _plain_scalar(value, column.name, file)


def _plain_scalar(value: Any, column: object, file: Path) -> Scalar:
    if isinstance(value, float) and math.isinf(value):
        raise ModelError(f"{file.name}: the column {column!r} holds infinities, which no contract takes: leave those rows out")
    if not isinstance(value, bool | int | float | str):
        raise ModelError(f"{file.name}: the column {column!r} holds {type(value).__name__}, which no feature can be")
    return value


def _dtype(column: Any) -> Dtype:
    from grpc_server.runtimes.sklearn.data_frames import dtype_of

    try:
        return dtype_of(column)
    except ValueError:
        return FLOAT64
