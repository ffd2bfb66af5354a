"""Training data by column, as values that JSON can hold, with the types that the model was trained on."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from foretell_contract.source.spelling import did_you_mean
from grpc_server.checks.data_file import DataFile, read_frame
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Dtype
from grpc_server.store.manifest import Manifest
from grpc_server.store.training_values import SampleValues

_COMMAS = re.compile(r"[+-]?[\d.]*\d,\d+")
_MOST_NAMES = 5
"""Names of columns in a message, at most."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows of training data, by column."""

    values: dict[str, SampleValues]
    dtypes: dict[str, Dtype]
    notes: list[str]
    """How the file was read."""


def read_samples(file: DataFile, columns: Collection[str], known: Mapping[str, Dtype], *, times: bool) -> Samples:
    """The rows of a CSV or Parquet file.

    `columns` are the model's names of its columns, `known` the types that it knows of some: a text stays one even if every value
    looks like a number. With `times`, another column of text becomes a time if all its values are ISO 8601. Raises ModelError for a
    file that cannot be read or holds no rows, for values that no feature can be, and if pandas is not installed.
    """
    frame, notes = read_frame(file, columns, known)
    texts = {name for name, dtype in known.items() if dtype.is_text}
    values, dtypes = {}, {}
    for label, column in frame.items():
        name = str(label)
        column = _as_times(column) if times and name not in texts else column
        dtypes[name] = _dtype(column, name, file)
        values[name] = _values(column, dtypes[name], name, file)
    if not values or not len(next(iter(values.values()))):
        raise ModelError(f"{file.name} holds no rows")
    return Samples(values, dtypes, notes)


def samples_of(data: DataFile, manifest: Manifest) -> Samples:
    """The rows of the data, with a manifest's columns among them.

    Raises ModelError if the data lacks a column, or holds text where the model takes numbers.
    """
    times = any(dtype.unit for dtype in manifest.dtypes.values())
    samples = read_samples(data, manifest.columns, manifest.dtypes, times=times)
    check_names(manifest.columns, samples, data)
    for name, dtype in zip(manifest.columns, manifest.column_dtypes, strict=True):
        if not dtype.is_text:
            check_values(name, dtype, samples.values[name])
    return samples


def check_names(names: Iterable[str], samples: Samples, data: DataFile) -> None:
    """Raises ModelError if the data lacks one of the columns."""
    for name in names:
        if name not in samples.values:
            hint = did_you_mean(name, samples.values) or f": it has {listed(samples.values)}"
            raise ModelError(f"{data.name} has no column {name!r}{hint}")


def listed(names: Collection[str]) -> str:
    """The first names, and how many there are besides."""
    first = ", ".join(list(names)[:_MOST_NAMES])
    return f"{first} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else first


def check_values(name: str, dtype: Dtype, values: SampleValues) -> None:
    """Raises ModelError if the column holds a value that is none of its type."""
    if dtype.is_text or str not in values.types or (dtype.unit and values.array.dtype.kind == "M"):
        return
    wrong = [(row, value) for row, value in enumerate(values, 1) if not dtype.accepts_json(value)]
    if wrong:
        row, value = next((each for each in wrong if not _is_number(each[1])), wrong[0])
        takes = "times" if dtype.unit else "numbers"
        raise ModelError(f"the column {name!r} holds {value!r} in the data, but the model takes {takes} there", _fix(value, row))


def are_unread_numbers(values: SampleValues) -> bool:
    """Whether a column holds text only because its numbers have decimal commas, by its first values."""
    first = [str(each) for each in values.known[:1000].tolist()] if values.types == {str} else []
    return any(map(_COMMAS.fullmatch, first)) and all(_COMMAS.fullmatch(each) or _is_number(each) for each in first)


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fix(value: object, row: int) -> str:
    """How to write such a value; of the row in any case."""
    text = str(value)
    if _COMMAS.fullmatch(text):
        return f"pass --decimal , if these are decimal commas, else write numbers without separators (row {row})"
    if re.fullmatch(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}.*", text):
        return f"write times as 2026-05-01T12:00:00Z, or train on numbers made of them (row {row})"
    return f"correct row {row}, or train the model on this data"


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


def _dtype(column: Any, name: str, file: DataFile) -> Dtype:
    from grpc_server.runtimes.sklearn.data_frames import dtype_of

    try:
        return dtype_of(column)
    except ValueError as error:
        raise ModelError(f"{file.name}: the column {name!r} cannot be a feature: {error}", "leave it out, or convert it") from None


def _values(column: Any, dtype: Dtype, name: str, file: DataFile) -> SampleValues:
    import pandas as pd

    missing = column.isna().to_numpy(bool)
    if isinstance(column.dtype, pd.ArrowDtype):
        column = column.astype(dtype.name if dtype.is_nullable or (dtype.unit and dtype.name != "date") else object)
    if dtype.zone:
        array = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    elif dtype.is_nullable:
        array = column.to_numpy(dtype=dtype.name.lower().removesuffix("ean"), na_value=0)
    elif isinstance(column.dtype, np.dtype) and column.dtype != object:
        array = column.to_numpy()
    else:
        codes, distinct = pd.factorize(column)
        array = np.array([*map(_scalar, np.asarray(distinct, object)), None], object)[codes]  # The code of a missing one is -1.
        array = array.astype(f"datetime64[{dtype.unit}]") if dtype.unit and not dtype.is_duration else array
    values = SampleValues(array, missing)
    if array.dtype.kind == "f" and np.isinf(values.known).any():
        raise ModelError(f"{file.name}: the column {name!r} holds infinities, which no contract takes: leave those rows out")
    return values


def _scalar(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value.item() if isinstance(value, np.generic) else value
