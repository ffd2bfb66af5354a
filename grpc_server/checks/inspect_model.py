"""What a trained model and its training data tell of the contract that would fit them."""

import json
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from foretell_contract.source.suggestion import did_you_mean
from grpc_server.checks.add_model import read
from grpc_server.errors import ModelError
from grpc_server.rows.class_names import Target, name_of
from grpc_server.rows.mixed_rows import PLAIN, Dtype, blank_row
from grpc_server.rows.outputs import Output, Source, asking, offered
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.formats.training_data import Samples, read_samples
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.manifest import GoldenRow, Manifest, Scalar, golden_rows
from grpc_server.store.training_values import TrainingValues, observe

GOLDEN_ROWS = 20

_FOREIGN = "foretell"
"""A text that no model was trained on; `foretell_contract/examples/variants.py` tries the same."""


@dataclass(frozen=True, slots=True)
class Column:
    """One training column."""

    name: str
    dtype: Dtype
    values: tuple[Scalar | None, ...] = ()
    """What was seen of it, None where it was missing; empty where there is no data."""
    nullable: bool = False
    """Whether it was missing in some rows, and the model answers such a row."""
    closed: bool = False
    """Whether the model fails on a text that it was not trained on."""
    example: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """A model, and what its contract is made of."""

    columns: tuple[Column, ...]
    targets: tuple[Target, ...]
    outputs: tuple[Output, ...]
    answer: dict[str, Scalar]
    """What the model answers to the examples, by `name_of`; empty where there is no data."""
    golden: bytes
    named: bool
    """Whether the columns' names are known, and not made up."""

    @property
    def dtypes(self) -> dict[str, Dtype]:
        """The types of the columns, by name."""
        return {column.name: column.dtype for column in self.columns}

    @property
    def training(self) -> TrainingValues | None:
        """What was seen of the columns; None where there is no data."""
        seen = {column.name: column.values for column in self.columns}
        return observe(seen, self.dtypes) if all(seen.values()) else None


@dataclass(frozen=True, slots=True)
class Told:
    """What the user says about a model, each empty where nothing is said."""

    columns: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    """What it predicts: columns of the data, if there is any."""
    outputs: tuple[str, ...] = ()
    """What whoever saved the model calls that, which no column of the data need be called."""
    classes: tuple[str, ...] = ()
    format: str = ""
    dtypes: Mapping[str, Dtype] = field(default_factory=dict)
    """Types of columns, for want of data."""
    optional: frozenset[str] = frozenset()
    """Columns that may be missing, for want of data."""


def describe(file: Path, data: Path | None, told: Told) -> Description:
    """Load a trained model, which runs its code, and try it on its training data.

    Raises ModelError for a model that cannot be served, and for data that is not what it was trained on.
    """
    artifact = read(file)
    runtime = format_table.load(format_table.format_of(file, artifact, told.format), artifact)
    known = runtime.columns or told.columns
    estimator = getattr(runtime, "estimator", None)
    places = [str(place) for place in range(runtime.width)]
    dtypes = _known(estimator, known or places)
    texts = [name for name in known if dtypes.get(name, PLAIN).is_text]
    samples = read_samples(data, texts, times=runtime.columns is not None) if data else None
    names = _columns(runtime, known, samples, told, data)
    by_place = dtypes if known else {name: dtypes[place] for name, place in zip(names, places, strict=True) if place in dtypes}
    columns = [_column(name, by_place.get(name), samples, runtime, names, told) for name in names]
    with warnings.catch_warnings(action="ignore"):  # An estimator that knows its columns warns of rows without names.
        return _Trial(runtime, columns, told, file).description(named=bool(known or samples))


class _Trial:
    """A model that is asked what it answers to rows of these columns."""

    def __init__(self, runtime: Runtime, columns: Sequence[Column], told: Told, file: Path) -> None:
        self._columns, self._file = columns, file
        self._manifest = Manifest.model_construct(
            columns=tuple(column.name for column in columns),
            dtypes={column.name: column.dtype for column in columns},
            classes=runtime.classes or told.classes or (),
        )
        self._complete = [place for place, row in enumerate(zip(*self._values, strict=True)) if None not in row]
        row = self._base
        dtypes = self._manifest.column_dtypes
        sample = golden_rows([GoldenRow.model_construct(features=row)], self._manifest) if row else blank_row(dtypes)
        self._sources: tuple[Source, ...] = runtime.sources(
            dtypes, sample, [target.classes for target in self._manifest.all_targets]
        )
        self._outputs = offered(self._sources)
        self._targets = self._named(runtime, told)

    def description(self, *, named: bool) -> Description:
        base = self._base or {column.name: column.dtype.blank for column in self._columns if not column.dtype.unit}
        columns = tuple(self._tried(column, base) for column in self._columns)
        self._columns = columns
        try:
            answer = self._answers([base])[0] if self._base else {}
            return Description(columns, self._targets, self._outputs, answer, self._golden(), named)
        except Exception as error:  # An estimator may raise anything.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise ModelError(f"the model in {self._file.name} does not answer rows of the data ({reason})") from error

    @property
    def _values(self) -> list[tuple[Scalar | None, ...]]:
        return [column.values for column in self._columns]

    @property
    def _base(self) -> dict[str, Scalar | None]:
        """A row from the data without gaps: a real one where there is any, else of the first value of each column."""
        if not all(self._values):
            return {}
        if self._complete:
            place = self._complete[len(self._complete) // 2]
            return {column.name: column.values[place] for column in self._columns}
        firsts = {column.name: [value for value in column.values if value is not None][:1] for column in self._columns}
        empty = [name for name, found in firsts.items() if not found]
        if empty:
            raise ModelError(f"the column {empty[0]!r} is empty in every row of the data: leave it out, and train without it")
        return {name: found[0] for name, found in firsts.items()}

    def _tried(self, column: Column, base: dict[str, Any]) -> Column:
        gaps = None in column.values
        return replace(
            column,
            nullable=(gaps or column.nullable) and self._answered(base | {column.name: None}),
            closed=column.dtype.is_text and not self._answered(base | {column.name: _FOREIGN}),
            example=base.get(column.name) if column.values else None,
        )

    def _answered(self, row: dict[str, Any]) -> bool:
        try:
            return len(self._answers([row])[0]) == len(self._outputs)
        except Exception:  # An estimator may raise anything.
            return False

    def _answers(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Scalar]]:
        """What the model says of each row, without what is no number."""
        golden = golden_rows([GoldenRow.model_construct(features=row) for row in rows], self._manifest)
        answers = asking(self._sources, self._outputs)(golden).tolist()
        return [
            {
                name_of(output, self._targets): self._said(output, value)
                for output, value in zip(self._outputs, answer, strict=True)
                if np.isfinite(value)
            }
            for answer in answers
        ]

    def _said(self, output: Output, value: float) -> Scalar:
        return self._targets[output.target].classes[int(value)] if output.kind == "label" else value

    def _golden(self) -> bytes:
        """Rows that keep the contract to be, the same ones each time."""
        if not all(self._values):
            return b""
        needed = [column.values for column in self._columns if not column.nullable]
        there = [place for place in range(len(self._values[0])) if all(values[place] is not None for values in needed)]
        chosen = sorted(random.Random(0).sample(there, min(GOLDEN_ROWS, len(there))))  # noqa: S311  # Not a secret.
        rows = [{column.name: column.values[place] for column in self._columns} for place in chosen]
        if not rows:
            return b""
        lines = [{"features": row, "outputs": answer} for row, answer in zip(rows, self._answers(rows), strict=True)]
        return "".join(json.dumps(line) + "\n" for line in lines).encode()

    def _named(self, runtime: Runtime, told: Told) -> tuple[Target, ...]:
        classes = self._manifest.classes
        count = 1 + max(output.target for output in self._outputs)
        probabilities = sum(output.kind == "probability" for output in self._outputs)
        if probabilities and not classes and count == 1 and getattr(runtime, "estimator", None) is None:
            raise ModelError(f"{self._file.name} does not name its {probabilities} classes: pass --classes x,y,z")
        if count == 1:
            return (Target("", classes),)
        saved = told.outputs if len(told.outputs) == count else ()
        names = told.targets or saved or tuple(f"target_{place}" for place in range(count))
        if len(names) != count:
            raise ModelError(f"{self._file.name} predicts {count} targets, but {len(names)} are named: {', '.join(names)}")
        lists = runtime.targets or ((),) * count
        return tuple(Target(name, of) for name, of in zip(names, lists, strict=True))


def _known(estimator: Any, columns: Sequence[str]) -> dict[str, Dtype]:
    if estimator is None:
        return {}
    from grpc_server.runtimes.sklearn.training_dtypes import dtypes_of

    return dtypes_of(estimator, columns)


def _columns(runtime: Runtime, known: tuple[str, ...], samples: Samples | None, told: Told, data: Path | None) -> tuple[str, ...]:
    """Names of the training columns, in training order."""
    width = runtime.width
    if known and len(known) != width:
        raise ModelError(f"the model takes {width} columns, but {len(known)} are named: {', '.join(known)}")
    if samples is None or data is None:
        return known or (("text",) if _takes_texts(runtime) else tuple(f"column_{place}" for place in range(width)))
    missing = [name for name in (*known, *told.targets) if name not in samples.values]
    if missing:
        raise ModelError(f"{data.name} has no column {missing[0]!r}{did_you_mean(missing[0], samples.values)}")
    left = known or tuple(name for name in samples.values if name not in (told.targets or told.outputs))
    if len(left) != width:
        hint = f"pass --target {left[-1]}, if that is what it predicts" if len(left) == width + 1 else "pass --columns a,b,c"
        raise ModelError(f"{data.name} has {len(left)} columns, but the model takes {width} and does not name them: {hint}")
    return left


def _takes_texts(runtime: Runtime) -> bool:
    estimator = getattr(runtime, "estimator", None)
    if estimator is None:
        return False
    from grpc_server.runtimes.sklearn.estimator_input import takes_texts

    return takes_texts(estimator)


def _column(name: str, known: Dtype | None, samples: Samples | None, runtime: Runtime, names: Sequence[str], told: Told) -> Column:
    if samples is None:
        seen = told.dtypes.get(name, PLAIN)
        plain = runtime.columns is None or (seen.is_number and not _wants_frame(runtime, names))
        return Column(name, known or (PLAIN if plain else seen), nullable=name in told.optional)
    values, seen = samples.values[name], samples.dtypes[name]
    if runtime.columns is None:
        dtype = known if known and known.is_text else PLAIN
    else:
        plain = seen.is_number and seen.name != "category" and not _wants_frame(runtime, names)
        dtype = known or (PLAIN if plain else seen)
    if dtype.is_text:
        values = [None if value is None else str(value) for value in values]
    for value in values:
        if not dtype.takes(value):
            raise ModelError(f"the column {name!r} holds {value!r} in the data, but the model takes numbers there")
    return Column(name, dtype, tuple(values))


def _wants_frame(runtime: Runtime, names: Sequence[str]) -> bool:
    estimator = getattr(runtime, "estimator", None)
    if estimator is None:
        return False
    from grpc_server.runtimes.sklearn.estimator_input import feeding

    return feeding(estimator, names, [PLAIN] * len(names)) is not None
