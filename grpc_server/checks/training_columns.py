"""The training columns of a model that is being inspected: names, types and values, from the model, its data and the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foretell_contract.source.spelling import counted
from grpc_server.checks.data_file import DataFile
from grpc_server.checks.training_data import Samples, are_unread_numbers, check_names, check_values, read_samples
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import FLOAT64, Dtype, integer_dtype
from grpc_server.runtimes.runtime import Runtime, estimator_of, of_columns
from grpc_server.store.training_values import SampleValues, Scalar

_ANY_TARGET = "pass --target with the column that it predicts"


@dataclass(frozen=True, slots=True)
class Column:
    """One training column."""

    name: str
    dtype: Dtype
    values: Sequence[Scalar | None] = ()
    """Its values in the training data, None for a missing one; empty without data."""
    nullable: bool = False
    """Whether some rows lack a value, and the model answers such a row."""
    closed: bool = False
    """Whether the model fails on a text that it was not trained on."""
    open_length: int = 0
    """Characters of the longest unknown text that the model answered in a trial; 0 without one, or if `strict` leaves it out."""
    takes_empty: bool = False
    """Whether the model answered the empty text in such a trial."""
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
    strict: bool = False
    """Whether the contract accepts only texts like those of training, even if the model answers others."""


@dataclass(frozen=True, slots=True)
class TrainingColumns:
    """The training columns of a model."""

    columns: tuple[Column, ...]
    """In training order."""
    named: bool
    """Whether their names are known rather than made up."""
    notes: tuple[str, ...] = ()
    """How the data was read."""
    targets: Mapping[str, SampleValues] = field(default_factory=dict)
    """The stated target columns of the data, by name."""
    others: Mapping[str, SampleValues] = field(default_factory=dict)
    """The columns of the data that are neither, by name."""


def training_columns(runtime: Runtime, data: DataFile | None, hints: ModelHints) -> TrainingColumns:
    """The training columns of a model, from the model, its data and the hints.

    Raises ModelError if the data, the hints and the model contradict each other.
    """
    known = runtime.columns or hints.columns
    indices = [str(index) for index in range(runtime.width)]
    dtypes = encoder_dtypes(runtime, known or indices)
    times = runtime.columns is not None or not runtime.width
    samples = read_samples(data, known, dtypes if known else {}, times=times) if data else None
    if not runtime.width:
        known = known or tuple(name for name in (samples.values if samples else ()) if name not in (hints.targets or hints.outputs))
        if not known:
            raise ModelError("the model does not know which columns it takes", "pass --columns a,b,c or --data FILE")
        runtime = of_columns(runtime, known)
    names = _names(runtime, known, samples, hints, data)
    by_name = dtypes if known else {name: dtypes[index] for name, index in zip(names, indices, strict=True) if index in dtypes}
    numbers_suffice = _takes_numbers(runtime, names)
    if samples is None or data is None:
        without = tuple(_column_without_data(name, by_name.get(name), hints, runtime, numbers_suffice) for name in names)
        return TrainingColumns(without, bool(known))
    columns = tuple(_column_of_data(name, by_name.get(name), samples, runtime, numbers_suffice) for name in names)
    _check_categories(runtime, columns)
    others = {name: values for name, values in samples.values.items() if name not in (*names, *hints.targets, *hints.outputs)}
    targets = {name: samples.values[name] for name in hints.targets or hints.outputs if name in samples.values}
    return TrainingColumns(columns, named=True, notes=tuple(samples.notes), targets=targets, others=others)


def _check_categories(runtime: Runtime, columns: Sequence[Column]) -> None:
    estimator = estimator_of(runtime)
    if estimator is not None:
        from grpc_server.runtimes.sklearn.boosted_wrapper import check_categories  # As for `encoder_dtypes`.

        check_categories(estimator, {column.name: column.dtype for column in columns})


def encoder_dtypes(runtime: Runtime, columns: Sequence[str]) -> dict[str, Dtype]:
    """The types of those columns that the encoders and imputers of a scikit-learn model know; empty for another model."""
    estimator = estimator_of(runtime)
    if estimator is None:
        return {}
    from grpc_server.runtimes.sklearn.training_dtypes import dtypes_of  # scikit-learn takes a second to import.

    return dtypes_of(estimator, columns)


def _names(
    runtime: Runtime, known: tuple[str, ...], samples: Samples | None, hints: ModelHints, data: DataFile | None
) -> tuple[str, ...]:
    if known and len(known) != runtime.width:
        raise ModelError(
            f"the model takes {counted(runtime.width, 'column')}, but there are names for {len(known)}: {', '.join(known)}"
        )
    if samples is None or data is None:
        return known or _made_up_names(runtime)
    check_names((*known, *hints.targets), samples, data)
    return known or _names_in_data(runtime, samples, hints, data)


def _made_up_names(runtime: Runtime) -> tuple[str, ...]:
    estimator = estimator_of(runtime)
    if estimator is not None:
        from grpc_server.runtimes.sklearn.first_step import takes_texts  # scikit-learn takes a second to import.

        if takes_texts(estimator):
            return ("text",)
    return tuple(f"column_{index}" for index in range(runtime.width))


def _names_in_data(runtime: Runtime, samples: Samples, hints: ModelHints, data: DataFile) -> tuple[str, ...]:
    """All columns of the data but the targets. Raises ModelError if their number is not the model's."""
    names = tuple(name for name in samples.values if name not in (hints.targets or hints.outputs))
    if len(names) != runtime.width:
        fix = _target_hint(runtime, samples, names) if len(names) == runtime.width + 1 else "pass --columns a,b,c"
        has = f"{data.name} has {counted(len(names), 'column')}"
        raise ModelError(f"{has}, but the model takes {runtime.width} and does not name them", fix)
    return names


def _target_hint(runtime: Runtime, samples: Samples, names: Sequence[str]) -> str:
    """Names the only column that holds nothing but the model's classes; without one, any of the columns may be the target."""
    classes = set(runtime.classes or ())
    found = [name for name in names if classes and {str(value) for value in samples.values[name] if value is not None} <= classes]
    return f"pass --target {found[0]}, which holds its classes" if len(found) == 1 else _ANY_TARGET


def _column_without_data(name: str, known: Dtype | None, hints: ModelHints, runtime: Runtime, numbers_suffice: bool) -> Column:
    stated = hints.dtypes.get(name, FLOAT64)
    plain = runtime.columns is None or (stated.is_number and numbers_suffice)
    return Column(name, known or (FLOAT64 if plain else stated), nullable=name in hints.optional)


def _column_of_data(name: str, known: Dtype | None, samples: Samples, runtime: Runtime, numbers_suffice: bool) -> Column:
    values = samples.values[name]
    dtype = _dtype_of_data(known, samples.dtypes[name], runtime, numbers_suffice)
    if known is None and values.types == {int} and integer_dtype(values.span or ()) and estimator_of(runtime) is not None:
        dtype = Dtype(samples.dtypes[name].name, wide=True)  # An array of floats would round them.
    if dtype.is_text and values.types - {str}:
        values = SampleValues.of(None if value is None else str(value) for value in values)
    check_values(name, FLOAT64 if known is None and are_unread_numbers(values) else dtype, values)
    return Column(name, dtype, values)


def _dtype_of_data(known: Dtype | None, in_data: Dtype, runtime: Runtime, numbers_suffice: bool) -> Dtype:
    """The type in the data with the categories that the model knows, or float64 if the model answers that alike."""
    if runtime.columns is None:
        return array_dtype(known)
    if known is None and in_data.is_text and numbers_suffice:
        return FLOAT64  # The data is refused, with a text that it holds.
    if "category" in (in_data.name, known and known.name) or not in_data.is_number or (known and not known.is_number):
        return known or in_data
    rounded = estimator_of(runtime) is not None and in_data.name.lower() in ("float16", "float32")
    name = FLOAT64.name if numbers_suffice and not rounded else in_data.name
    if known is None:
        return Dtype(name)
    return known if not known.is_plain else Dtype(name, known.categories, known.missing)


def array_dtype(known: Dtype | None) -> Dtype:
    """The type of a column of an array: float64, unless an encoder compares values that this does not hold."""
    return known if known and not known.is_plain and known.name != "bool" else FLOAT64


def _takes_numbers(runtime: Runtime, names: Sequence[str]) -> bool:
    """Whether an array of numbers will do; some scikit-learn models take a data frame even for numbers alone."""
    estimator = estimator_of(runtime)
    if estimator is None or runtime.columns is None:
        return True
    from grpc_server.runtimes.sklearn.estimator_input import input_conversion  # scikit-learn takes a second to import.

    return input_conversion(estimator, names, [FLOAT64] * len(names)) is None
