"""The training columns of a model that is being inspected: names, types and values, from the model, its data and the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grpc_server.checks.training_data import Samples, check_names, check_values, read_samples
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import FLOAT64, Dtype
from grpc_server.runtimes.runtime import Runtime, estimator_of
from grpc_server.store.manifest import Scalar


@dataclass(frozen=True, slots=True)
class Column:
    """One training column."""

    name: str
    dtype: Dtype
    values: tuple[Scalar | None, ...] = ()
    """Its values in the training data, None for a missing one; empty without data."""
    nullable: bool = False
    """Whether some rows lack a value, and the model answers such a row."""
    closed: bool = False
    """Whether the model fails on a text that it was not trained on."""
    example: Scalar | None = None


@dataclass(frozen=True, slots=True)
class ModelHints:
    """The user's statements about a model; each field is empty by default."""

    columns: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    """Names of the targets: columns of the data, if there is data."""
    outputs: tuple[str, ...] = ()
    """Names of the targets in the file that MLflow saved, which need not be columns of the data."""
    classes: tuple[str, ...] = ()
    format: str = ""
    dtypes: Mapping[str, Dtype] = field(default_factory=dict)
    """Types by column, used without data."""
    optional: frozenset[str] = frozenset()
    """Columns that may be missing, used without data."""


def training_columns(runtime: Runtime, data: Path | None, hints: ModelHints) -> tuple[tuple[Column, ...], bool]:
    """The columns in training order, and whether their names are known rather than made up.

    Raises ModelError if the data, the hints and the model contradict each other.
    """
    known = runtime.columns or hints.columns
    indices = [str(index) for index in range(runtime.width)]
    dtypes = encoder_dtypes(runtime, known or indices)
    texts = [name for name in known if dtypes.get(name, FLOAT64).is_text]
    samples = read_samples(data, texts, times=runtime.columns is not None) if data else None
    names = _names(runtime, known, samples, hints, data)
    by_name = dtypes if known else {name: dtypes[index] for name, index in zip(names, indices, strict=True) if index in dtypes}
    numbers_suffice = _takes_numbers(runtime, names)
    if samples is None:
        columns = [_column_without_data(name, by_name.get(name), hints, runtime, numbers_suffice) for name in names]
    else:
        columns = [_column_of_data(name, by_name.get(name), samples, runtime, numbers_suffice) for name in names]
    return tuple(columns), bool(known or samples)


def encoder_dtypes(runtime: Runtime, columns: Sequence[str]) -> dict[str, Dtype]:
    """The types of those columns that the encoders and imputers of a scikit-learn model know; empty for another model."""
    estimator = estimator_of(runtime)
    if estimator is None:
        return {}
    from grpc_server.runtimes.sklearn.training_dtypes import dtypes_of  # scikit-learn takes a second to import.

    return dtypes_of(estimator, columns)


def _names(
    runtime: Runtime, known: tuple[str, ...], samples: Samples | None, hints: ModelHints, data: Path | None
) -> tuple[str, ...]:
    if known and len(known) != runtime.width:
        raise ModelError(f"the model takes {runtime.width} columns, but {len(known)} are named: {', '.join(known)}")
    if samples is None or data is None:
        return known or _made_up_names(runtime)
    check_names((*known, *hints.targets), samples, data)
    return known or _names_in_data(runtime, samples, hints, data)


def _made_up_names(runtime: Runtime) -> tuple[str, ...]:
    estimator = estimator_of(runtime)
    if estimator is not None:
        from grpc_server.runtimes.sklearn.estimator_input import takes_texts  # scikit-learn takes a second to import.

        if takes_texts(estimator):
            return ("text",)
    return tuple(f"column_{index}" for index in range(runtime.width))


def _names_in_data(runtime: Runtime, samples: Samples, hints: ModelHints, data: Path) -> tuple[str, ...]:
    """All columns of the data but the targets. Raises ModelError if their number is not the model's."""
    names = tuple(name for name in samples.values if name not in (hints.targets or hints.outputs))
    if len(names) != runtime.width:
        one_more = len(names) == runtime.width + 1
        fix = f"pass --target {names[-1]}, if that is what it predicts" if one_more else "pass --columns a,b,c"
        raise ModelError(f"{data.name} has {len(names)} columns, but the model takes {runtime.width} and does not name them", fix)
    return names


def _column_without_data(name: str, known: Dtype | None, hints: ModelHints, runtime: Runtime, numbers_suffice: bool) -> Column:
    stated = hints.dtypes.get(name, FLOAT64)
    plain = runtime.columns is None or (stated.is_number and numbers_suffice)
    return Column(name, known or (FLOAT64 if plain else stated), nullable=name in hints.optional)


def _column_of_data(name: str, known: Dtype | None, samples: Samples, runtime: Runtime, numbers_suffice: bool) -> Column:
    dtype = _dtype_of_data(known, samples.dtypes[name], runtime, numbers_suffice)
    values = samples.values[name]
    if dtype.is_text:
        values = [None if value is None else str(value) for value in values]
    check_values(name, dtype, values)
    return Column(name, dtype, tuple(values))


def _dtype_of_data(known: Dtype | None, in_data: Dtype, runtime: Runtime, numbers_suffice: bool) -> Dtype:
    """The model's own type, else float64 if that holds the data, else the type in the data."""
    if runtime.columns is None:  # Trained on an array: each column is a number unless an encoder knows it as text.
        return known if known and known.is_text else FLOAT64
    plain = in_data.is_number and in_data.name != "category" and numbers_suffice
    return known or (FLOAT64 if plain else in_data)


def _takes_numbers(runtime: Runtime, names: Sequence[str]) -> bool:
    """Whether an array of numbers will do; some scikit-learn models take a data frame even for numbers alone."""
    estimator = estimator_of(runtime)
    if estimator is None or runtime.columns is None:
        return True
    from grpc_server.runtimes.sklearn.estimator_input import input_conversion  # scikit-learn takes a second to import.

    return input_conversion(estimator, names, [FLOAT64] * len(names)) is None
