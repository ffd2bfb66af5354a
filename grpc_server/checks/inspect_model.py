"""Inspects a trained model and its training data for `foretell init`: columns, targets, outputs, examples and golden rows."""

import json
import random
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from foretell_contract.contract import Contract
from foretell_contract.examples.boundary_values import FOREIGN_TEXT
from grpc_server.checks.add_model import named_targets
from grpc_server.checks.contract_agreement import TOGETHER
from grpc_server.checks.data_file import DataFile
from grpc_server.checks.manifest_agreement import guarded, unchecked_sources
from grpc_server.checks.training_answers import TrainingAnswers, training_answers
from grpc_server.checks.training_columns import Column, ModelHints, TrainingColumns, training_columns
from grpc_server.checks.training_data import listed
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Dtype, Rows
from grpc_server.rows.outputs import Output, Source, all_outputs, output_function
from grpc_server.rows.targets import Target, output_name
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.runtime import Runtime, class_types_of, estimator_of, target_names
from grpc_server.store.manifest import GoldenRow, Manifest, golden_rows
from grpc_server.store.training_values import SampleValues, Scalar, TrainingValues, complete_rows, observe
from grpc_server.store.version_skew import check_skew

GOLDEN_ROWS = 20
"""Rows of the data that become golden rows, at most."""

_LONG = 10_000
"""Characters of the longest text that a model is tried on."""

_Row = dict[str, Scalar | None]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model as its contract is drafted from it."""

    columns: tuple[Column, ...]
    targets: tuple[Target, ...]
    outputs: tuple[Output, ...]
    answer: dict[str, Scalar]
    """The model's outputs for a row of the columns' examples, by `output_name`; empty without data."""
    golden: bytes
    """Golden rows, one JSON object a line; empty without data."""
    named: bool
    """Whether the columns' names are known rather than made up."""
    asked: TrainingAnswers | None = None
    """The answers to the training data; None without data."""
    data_notes: tuple[str, ...] = ()
    """How the data was read, what of it is left out, and which column is the target if none is stated."""
    target_values: Mapping[str, SampleValues] = field(default_factory=dict)
    """The target columns of the data, by name: those stated, or else one that is certain."""

    @property
    def dtypes(self) -> dict[str, Dtype]:
        """Types by column."""
        return {column.name: column.dtype for column in self.columns}

    @property
    def training(self) -> TrainingValues | None:
        """Summary of the training data by column; None without data."""
        values = {column.name: column.values for column in self.columns}
        return observe(values, self.dtypes) if all(values.values()) else None

    def observed(
        self, contract: Contract, name: str, manifest: Manifest, sources: Sequence[Source]
    ) -> tuple[TrainingValues | None, Rows | None]:
        """The summary `training`, and rows. Raises ModelMismatch if a response to the data breaks a rule of the contract."""
        if self.asked:
            self.asked.check_responses(contract, name, manifest, sources, "the model")
        return self.training, self.asked.rows if self.asked else None

    @property
    def notes(self) -> Iterator[str]:
        """What the author of the contract should know of the model's answers."""
        if self.asked and self.asked.disagreements:
            rows = f"{self.asked.disagreements:,} of {len(self.asked.numbers):,} rows"
            yield f"the label, from predict, is not the likeliest class of predict_proba in {rows} of the data"
        if self.asked and len(self.asked.numbers) < self.asked.total:
            yield f"the model was asked {len(self.asked.numbers):,} of the {self.asked.total:,} rows of the data"


def inspect_model(file: Path, data: DataFile | None, hints: ModelHints, *, allow_version_skew: bool = False) -> ModelDescription:
    """Load a trained model, which may run code from the file, and predict the rows of its training data.

    Raises ModelError for a model that cannot be served, or that another minor version of scikit-learn trained unless
    `allow_version_skew`, and for data that the model was not trained on.
    """
    artifact = format_table.read(file)
    format_name = format_table.format_of(file, artifact, hints.format)
    runtime = format_table.load(format_name, artifact)
    fitted_with = getattr(runtime, "sklearn_version", "")
    check_skew(format_name, {"scikit-learn": fitted_with} if fitted_with else {}, file.name, allowed=allow_version_skew)
    with warnings.catch_warnings(action="ignore"), guarded(runtime, file.name):
        # An estimator that knows its columns warns of rows without names.
        training = training_columns(runtime, data, hints)
        return _Inspection(runtime, training.columns, hints, file).description(training, data.name if data else "")


class _Inspection:
    def __init__(self, runtime: Runtime, columns: tuple[Column, ...], hints: ModelHints, file: Path) -> None:
        self._columns, self._file, self._hints = columns, file, hints
        self._values = [column.values for column in columns]
        self._manifest = Manifest.model_construct(
            columns=tuple(column.name for column in columns),
            dtypes={column.name: column.dtype for column in columns},
            classes=runtime.classes or hints.classes or (),
        )
        self._example = self._example_row() if all(self._values) else {}
        golden = [GoldenRow.model_construct(features=self._example)] if self._example else []
        self._sources = unchecked_sources(runtime, self._manifest, golden, file.name)
        self._outputs = all_outputs(self._sources)
        self._targets = self._named_targets(runtime, hints)

    def description(self, training: TrainingColumns, place: str) -> ModelDescription:
        blanks = {column.name: column.dtype.placeholder for column in self._columns if not column.dtype.unit}
        row = self._example or blanks
        nullable = self._nullable(row)
        columns = tuple(self._probed(column, row, nullable) for column in self._columns)
        asked = self._asked([column.name for column in columns if not column.nullable]) if self._example else None
        rows = self._golden_rows(columns)
        answer, *outputs = self._predicted([self._example, *rows]) if self._example else [{}]
        lines = [{"features": row, "outputs": expected} for row, expected in zip(rows, outputs, strict=True)]
        golden = "".join(json.dumps(line) + "\n" for line in lines).encode()
        target = self._certain_target(training.others)
        notes = [f"the target is {name!r}, the only column that is no feature" for name in target]
        if training.others and not target:
            notes = [f"the model takes no {listed(training.others)} of {place}: left out"]
        drafted = (columns, self._targets, self._outputs, answer, golden, training.named, asked)
        return ModelDescription(*drafted, (*training.notes, *notes), training.targets or target)

    def _certain_target(self, others: Mapping[str, SampleValues]) -> Mapping[str, SampleValues]:
        """The only column that is no feature, if all its values are classes of the model, or numbers for a regressor."""
        if self._hints.targets or self._hints.outputs or len(others) != 1 or len(self._targets) > 1:
            return {}
        ((values,), classes, kinds) = others.values(), set(self._targets[0].classes), {output.kind for output in self._outputs}
        fits = classes.issuperset(values.texts) if classes else "value" in kinds and values.types <= {int, float}
        return others if fits and None not in values else {}

    def _asked(self, required: Sequence[str]) -> TrainingAnswers:
        """The answers to the rows of the data that have all `required` values. Raises ModelError for an answer that none can be."""
        values = {column.name: column.values for column in self._columns}
        asked = training_answers(self._sources, values, self._manifest, self._file.name, required)
        asked.check(self._targets, self._file.name)
        return asked

    def _example_row(self) -> _Row:
        """The middle one of the rows without missing values, or else the first value of each column."""
        complete = complete_rows(self._values, len(self._values[0])).tolist()
        if complete:
            return self._row(complete[len(complete) // 2])
        firsts = {column.name: next((value for value in column.values if value is not None), None) for column in self._columns}
        empty = [name for name, first in firsts.items() if first is None]
        if empty:
            raise ModelError(f"the column {empty[0]!r} is empty in every row of the data: leave it out, and train without it")
        return firsts

    def _row(self, index: int) -> _Row:
        return {column.name: column.values[index] for column in self._columns}

    def _nullable(self, row: _Row) -> set[str]:
        """The columns of which some rows lack a value, and without which the model answers the row."""
        names = [column.name for column in self._columns if column.nullable or None in column.values]
        found: set[str] = set()
        for group in (names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER)):
            together = self._answers(row | dict.fromkeys(group))
            found.update(name for name in group if together or self._answers(row | {name: None}))
        return found

    def _probed(self, column: Column, row: _Row, nullable: Collection[str]) -> Column:
        """The column, with whether the model takes a missing value and an unknown text there."""
        # An encoder of categories takes an unknown one as missing, which the model itself may refuse.
        unknown = column.dtype.is_text and column.dtype.name != "category" and self._answers(row | {column.name: FOREIGN_TEXT})
        is_open = unknown and not self._hints.strict and self._answers(row | {column.name: "x" * _LONG})
        return replace(
            column,
            nullable=column.name in nullable,
            closed=column.dtype.is_text and not unknown,
            open_length=_LONG if is_open else 0,
            takes_empty=is_open and self._answers(row | {column.name: ""}),
            example=row.get(column.name) if column.values else None,
        )

    def _answers(self, row: _Row) -> bool:
        """Whether the model gives finite numbers for a row."""
        try:
            return len(self._predicted([row])[0]) == len(self._outputs)
        except Exception:  # An estimator may raise anything.
            return False

    def _predicted(self, rows: Sequence[_Row]) -> list[dict[str, Scalar]]:
        """The model's outputs by name for each row, without numbers that are not finite."""
        model_rows = golden_rows([GoldenRow.model_construct(features=row) for row in rows], self._manifest)
        answers = output_function(self._sources, self._outputs)(model_rows).tolist()
        return [
            {
                output_name(output, self._targets): self._scalar(output, value)
                for output, value in zip(self._outputs, answer, strict=True)
                if np.isfinite(value)
            }
            for answer in answers
        ]

    def _scalar(self, output: Output, value: float) -> Scalar:
        return self._targets[output.target].classes[int(value)] if output.kind == "label" else value

    def _golden_rows(self, columns: Sequence[Column]) -> list[_Row]:
        """Rows that have every value that the contract will require; the same choice at each call."""
        if not all(self._values):
            return []
        required = [column.values for column in columns if not column.nullable]
        complete = complete_rows(required, len(self._values[0])).tolist()
        chosen = sorted(random.Random(0).sample(complete, min(GOLDEN_ROWS, len(complete))))  # noqa: S311  # Not a secret.
        return [self._row(index) for index in chosen]

    def _named_targets(self, runtime: Runtime, hints: ModelHints) -> tuple[Target, ...]:
        """Targets named by the hints, or else by number. Raises ModelError if classes have no names."""
        count = 1 + max(output.target for output in self._outputs)
        if count == 1:
            probabilities = sum(output.kind == "probability" for output in self._outputs)
            if probabilities and not self._manifest.classes and estimator_of(runtime) is None:
                raise ModelError(f"{self._file.name} does not name its {probabilities} classes: pass --classes x,y,z")
            return (Target("", self._manifest.classes, *class_types_of(runtime, 1)),)
        saved = hints.outputs if len(hints.outputs) == count else target_names(runtime)
        stated = hints.targets if len(hints.targets) > 1 or len(saved) != count else ()
        return named_targets(runtime, [()] * count, stated, saved, self._file.name, "target_")
