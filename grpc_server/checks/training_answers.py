"""The answers of a model to its training data, held against what every answer must be."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell_contract.contract import Contract
from grpc_server.checks.contract_agreement import bind
from grpc_server.checks.data_file import DataFile
from grpc_server.checks.training_data import check_values, samples_of
from grpc_server.errors import ModelError, ModelMismatch, exception_text
from grpc_server.rows.mixed_rows import FLOAT64, Matrix, Rows, rows_from_columns
from grpc_server.rows.outputs import Output, Source, all_outputs, output_function
from grpc_server.rows.targets import Target, output_name
from grpc_server.store.manifest import Manifest
from grpc_server.store.training_values import SampleValues, TrainingValues, Values, complete_rows, observe

_MOST_ROWS, _MOST_NUMBERS = 100_000, 10_000_000
"""Most rows that the model is asked, and most numbers that it answers."""

_BATCHES = 10
_MOST_SECONDS = 30.0
"""Time after which a slow model is asked no further batch."""

_VALIDATED_ROWS = 200
"""Responses that are held against the contract's rules, beside those with the smallest and largest number of each output."""

_LEAVE_OUT = "mend the model, or leave such rows out of the data"


@dataclass(frozen=True, slots=True)
class TrainingAnswers:
    """A model's answers to rows of its training data."""

    outputs: tuple[Output, ...]
    answers: Matrix
    """Shape (rows, outputs)."""
    numbers: NDArray[np.int64]
    """The number of each row in the data, from 1."""
    total: int
    """Rows of the data that the model has to answer."""
    rows: Rows

    @property
    def disagreements(self) -> int:
        """Rows for which `predict` names another class than the likeliest one of `predict_proba`."""
        return int(sum((labels != likeliest).sum() for labels, likeliest in self._labels()))

    def check(self, targets: Sequence[Target], place: str) -> None:
        """Raises ModelMismatch if an answer is not finite, no probability, or `predict_proba` has another order of classes."""
        for index, output in enumerate(self.outputs):
            answers = self.answers[:, index]
            is_probability = output.kind == "probability" and bool(targets[output.target].classes)
            wrong = ~np.isfinite(answers) | (is_probability & ((answers < 0) | (answers > 1)))
            if wrong.any():
                first = int(np.where(wrong, self.numbers, self.numbers.max() + 1).argmin())
                row, name = self.numbers[first], output_name(output, targets)
                given = f"{place} gives {answers[first]} as {name} for row {row:,} of the data"
                demand = "a probability is a number from 0 to 1" if is_probability else "an answer is a finite number"
                raise ModelMismatch(f"{given} ({wrong.sum():,} of {len(wrong):,} rows), but {demand}", _LEAVE_OUT)
        for (labels, likeliest), target in zip(self._labels(), (each for each in targets if each.classes), strict=False):
            self._check_order(labels, likeliest, target, place)

    def check_responses(self, contract: Contract, name: str, manifest: Manifest, sources: Sequence[Source], place: str) -> None:
        """Raises ModelMismatch if a response to one of the rows breaks a rule of the contract's services of the model `name`.

        Validates the responses of the smallest and the largest number of each output, and some others.
        """
        chosen = np.unique([*self.answers.argmin(0), *self.answers.argmax(0), *range(min(_VALIDATED_ROWS, len(self.numbers)))])
        try:
            found = [bind(contract, service, manifest, sources) for service in contract.services if service.model == name]
        except ModelMismatch:
            return  # The gate of the contract refuses the model, and says why.
        for binding in (each for bindings in found for each in bindings.values() if each.method.answers is None):
            columns = [self.outputs.index(output) for output in binding.outputs]
            for row in chosen.tolist():
                for violation in contract.rules.violations(binding.response(self.answers[row : row + 1, columns])):
                    field = f"{binding.method.answer.full_name}.{violation.field}"
                    reason = f"the answer of {place} to row {self.numbers[row]:,} of the data breaks {field}: {violation.message}"
                    raise ModelMismatch(reason, "change the rule: the model decides its answers")

    def _labels(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """For each target with both, the label and the likeliest class of each row that has no tie."""
        for index, output in enumerate(self.outputs):
            of_target = [i for i, each in enumerate(self.outputs) if each.kind == "probability" and each.target == output.target]
            if output.kind == "label" and len(of_target) > 1:
                highest = np.sort(self.answers[:, of_target], axis=1)[:, -2:]
                decided = highest[:, 1] > highest[:, 0]
                yield self.answers[decided, index], self.answers[decided][:, of_target].argmax(1)

    def _check_order(self, labels: NDArray[Any], likeliest: NDArray[Any], target: Target, place: str) -> None:
        """Raises ModelMismatch if each label always comes with the highest probability of one other class."""
        pairs = np.unique(np.column_stack((labels, likeliest)).astype(int), axis=0)
        one_to_one = len(pairs) == len(set(pairs[:, 0].tolist())) == len(set(pairs[:, 1].tolist()))
        if one_to_one and len(pairs) > 1 and (pairs[:, 0] != pairs[:, 1]).any():
            label, other = next((target.classes[a], target.classes[b]) for a, b in pairs.tolist() if a != b)
            reason = f"{place} gives {other!r} the highest probability in every row of the data that it labels {label!r}"
            raise ModelMismatch(reason, "return the columns of predict_proba in the order of classes_")


def checked_data(
    data: DataFile, contract: Contract | None, name: str, manifest: Manifest, sources: Sequence[Source], place: str
) -> tuple[TrainingValues, Rows]:
    """Summary and rows of the training data. Raises ModelError for data, and for answers to its rows, that do not fit."""
    samples = samples_of(data, manifest)
    asked = training_answers(sources, samples.values, manifest, place)
    asked.check(manifest.all_targets, place)
    if contract:
        asked.check_responses(contract, name, manifest, sources, place)
    return observe({column: samples.values[column] for column in manifest.columns}, manifest.dtypes), asked.rows


def training_answers(
    sources: Sequence[Source], columns: Mapping[str, Values], manifest: Manifest, place: str, required: Sequence[str] = ()
) -> TrainingAnswers:
    """Asks the model every row of `columns` that has all `required` values; 100,000 of more, and fewer after 30 s.

    Raises ModelError for a row that the model cannot answer.
    """
    values = [columns[name] for name in manifest.columns]
    usable = complete_rows([columns[name] for name in required], len(values[0]))
    outputs = all_outputs(sources)
    most = min(_MOST_ROWS, max(_BATCHES, _MOST_NUMBERS // len(outputs)))
    order, batch = np.random.default_rng(0).permutation(usable)[:most], most // _BATCHES
    dtypes = manifest.column_dtypes
    chosen = zip((SampleValues.of(each).at(order) for each in values), dtypes, strict=True)
    rows = rows_from_columns(([dtype.from_json(each) for each in of] if dtype.unit else of for of, dtype in chosen), dtypes)
    predict = output_function(sources, outputs)
    found, end = [], monotonic() + _MOST_SECONDS
    for start in range(0, len(order), batch):
        try:
            numbers = order[start : start + batch] + 1
            found.append(_answered(predict, rows[start : start + batch], numbers, place))
        except _RowUnanswerable as error:
            _check_texts(columns, manifest, error)
            raise
        if len(found[-1]) != len(numbers):
            raise ModelMismatch(f"{place} gives {len(found[-1])} answers to {len(numbers)} rows", "return one row for each row")
        if monotonic() > end:
            break
    answers = np.vstack(found) if found else np.empty((0, len(outputs)))
    return TrainingAnswers(outputs, answers, order[: len(answers)] + 1, len(usable), rows[: len(answers)])


class _RowUnanswerable(ModelError):
    """The model fails on one row of the data; the cause is what it raised."""


def _check_texts(columns: Mapping[str, Values], manifest: Manifest, error: _RowUnanswerable) -> None:
    """Raises ModelError for a column of text that the model takes as numbers, if its exception quotes a text of the column."""
    for name, dtype in zip(manifest.columns, manifest.column_dtypes, strict=True):
        values = SampleValues.of(columns[name])
        if dtype.is_text and any(repr(text) in str(error.__cause__) for text in set(values.known.tolist())):
            check_values(name, FLOAT64, values)


def _answered(predict: Callable[[Rows], Matrix], rows: Rows, numbers: NDArray[np.int64], place: str) -> Matrix:
    """The answers to a batch. Raises ModelError with the number of a row that fails alone, if one does."""
    try:
        return predict(rows)
    except ModelError:
        raise
    except Exception as error:  # An estimator may raise anything.
        if len(numbers) == 1:
            reason = f"{place} cannot answer row {numbers[0]:,} of the data ({exception_text(error)})"
            raise _RowUnanswerable(reason, _LEAVE_OUT) from error
        half = len(numbers) // 2
        for part in (slice(None, half), slice(half, None)):
            _answered(predict, rows[part], numbers[part], place)
        reason = f"{place} cannot answer {len(numbers):,} rows of the data together, only fewer ({exception_text(error)})"
        raise ModelError(reason, _LEAVE_OUT) from error
