"""Replaces a scikit-learn classifier or regressor by a faster conversion that agrees with it on the same rows."""

import warnings
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from math import prod
from operator import truediv
from timeit import repeat, timeit
from typing import Any, Literal

import numpy as np

from foretell_contract.contract import Contract
from grpc_server.checks.contract_agreement import bind
from grpc_server.checks.disagreement import disagreement
from grpc_server.checks.manifest_agreement import check_golden, check_manifest, checked_sources, guarded
from grpc_server.checks.probe_rows import ColumnRanges, column_ranges, probe_rows
from grpc_server.errors import ModelError, ModelMismatch, exception_text
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import Output, Source, all_outputs, output_function
from grpc_server.rows.targets import outputs_by_name
from grpc_server.runtimes.conversions import conversion_table
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.runtime import Runtime, estimator_of
from grpc_server.store.manifest import GoldenRow, Manifest, golden_rows

Acceleration = Literal["no", "default", "auto", "onnx", "trees"]
"""Whether to convert, and to what. `default` is `auto` within the bounds of a contract, without a word where nothing is gained."""

_COMPARED_KINDS = frozenset({"probability", "label", "value"})
"""Kinds of outputs that conversions give."""

_SCALE_ROWS = 1024
"""Rows that show how large a regressor's answers are."""

_TRAINING_ROWS, _TRAINING_NUMBERS = 20_000, 10_000_000
"""Most rows and numbers of the training data that are compared."""

_TIMED_ROWS, _LEAST_GAIN, _NO_LOSS = 64, 2.25, 0.8
"""Rows of the larger timed run, least product of both gains (1.5 on average), and least gain of each, since timings vary."""

_CHEAP_SECONDS, _COMPARED_BATCHES, _MOST_SECONDS = 150e-6, 700, 60.0
"""By default nothing is tried for a run of one row below the first, nor where so many larger runs take longer than the last."""


@dataclass(frozen=True, slots=True)
class Accelerated:
    """A conversion that agrees with its original."""

    format: str
    artifact: bytes
    runtime: Runtime
    gains: tuple[float, float]
    """The time of the original for one row over its own, and that for 64 rows."""
    rows: int
    """Rows on which it agrees."""


def accelerate(
    acceleration: Acceleration,
    original: Runtime,
    manifest: Manifest,
    golden: tuple[GoldenRow, ...],
    training: Rows | None,
    contract: Contract | None,
    name: str,
    place: str,
) -> tuple[Accelerated | None, str]:
    """The conversion to serve instead of `original`, and a line on it; None if "auto" or "default" find none that is worth it.

    The contract's services of the model `name` set the outputs that a conversion must give and the range of its rows; `training`
    are rows of the training data. Raises ModelError for a model that is not scikit-learn's, called `place` in messages, and if the
    conversion that another choice names cannot be made or does not agree.
    """
    by_default = acceleration == "default"
    if estimator_of(original) is None:
        if by_default:
            return None, ""
        raise ModelError(f"{place} is no scikit-learn model: only those can be accelerated, so leave out --accelerate")
    try:
        # An estimator that knows its columns warns of rows without names.
        with warnings.catch_warnings(action="ignore"), guarded(original, place):
            needed = _needed_outputs(original, manifest, golden, contract, name)
            ranges = column_ranges(manifest.columns, contract, name, () if by_default else golden)
            comparison = ConversionComparison(original, manifest, golden, ranges, needed, training)
            obstacle = comparison.obstacle() if by_default else None
            if obstacle is not None:
                return None, obstacle
            found = comparison.fastest() if acceleration in ("auto", "default") else comparison.agreeing(acceleration)
            one, many = (f"{gain:.0f}x" if gain >= 10 else f"{gain:.1f}x" for gain in found.gains)
            gained = f"answers a row {one} as fast, {_TIMED_ROWS} rows {many}, and agrees on {found.rows:,} rows"
            return found, f"accelerated: {found.format} {gained}; --accelerate no keeps the estimator"
    except ModelError as error:
        if acceleration in conversion_table.CONVERSIONS:
            raise
        return None, "" if by_default else f"not accelerated: {error}"


def _needed_outputs(
    original: Runtime, manifest: Manifest, golden: tuple[GoldenRow, ...], contract: Contract | None, name: str
) -> set[Output]:
    """The outputs in the contract's responses, or all outputs of the model without a contract that fits.

    Raises ModelError if no conversion gives one that a response needs, or takes the model's columns.
    """
    if manifest.dtypes:
        others = ", ".join(f"{column} is {dtype.name}" for column, dtype in manifest.dtypes.items())
        raise ModelError(f"only models of numbers can be converted, and {others}")
    sources = checked_sources(original, manifest, golden, "the model")
    in_responses = _response_outputs(sources, manifest, contract, name)
    needed = in_responses or set(all_outputs(sources))
    beyond = [output for output in all_outputs(sources) if output in needed and output.kind not in _COMPARED_KINDS]
    if beyond and (in_responses or len(beyond) == len(needed)):
        names = ", ".join(outputs_by_name(beyond, manifest.all_targets))
        raise ModelError(f"no conversion gives {names}: conversions give probabilities, labels and values")
    return needed.difference(beyond)


def _response_outputs(sources: tuple[Source, ...], manifest: Manifest, contract: Contract | None, name: str) -> set[Output]:
    """The outputs that fill the contract's responses; empty without a contract that fits the model."""
    if contract is None:
        return set()
    try:
        found = [bind(contract, service, manifest, sources) for service in contract.services if service.model == name]
    except ModelMismatch:
        return set()
    return {output for bindings in found for binding in bindings.values() for output in binding.answers.outputs}


class ConversionComparison:
    """A classifier or regressor, and the rows on which each conversion must give its answers."""

    def __init__(
        self,
        original: Runtime,
        manifest: Manifest,
        golden: tuple[GoldenRow, ...],
        ranges: ColumnRanges,
        needed: AbstractSet[Output] = frozenset(),
        training: Rows | None = None,
    ) -> None:
        """A conversion must give the outputs in `needed`; if that is empty, all that can be compared."""
        self._training = training
        self._manifest, self._golden, self._ranges, self._estimator = manifest, golden, ranges, estimator_of(original)
        self._sources = checked_sources(original, manifest, golden, "the model")
        self._formats: Sequence[str] = tuple(conversion_table.CONVERSIONS)
        self._outputs = tuple(output for output in all_outputs(self._sources) if output.kind in _COMPARED_KINDS)
        """Outputs that are compared if a conversion gives them."""
        self._needed = set(needed or self._outputs)

    def obstacle(self) -> str | None:
        """A line on why no conversion is tried by default, empty if there is nothing to say; None if they are to be tried."""
        self._formats = conversion_table.likely_conversions(self._estimator)
        one, many = self._original_seconds if self._formats else (0.0, 0.0)
        if one < _CHEAP_SECONDS:
            return ""
        if not any(all(map(find_spec, conversion_table.CONVERSIONS[each])) for each in self._formats):
            return "not accelerated: pip install 'foretell[fast]' may make it faster"
        if many * _COMPARED_BATCHES > _MOST_SECONDS:
            return f"not accelerated: to compare takes about {many * _COMPARED_BATCHES / 60:.0f} min; --accelerate auto does"
        return None

    def fastest(self) -> Accelerated:
        """The conversion that agrees and gains most. Raises ModelError with the reason of each format if none is worth it."""
        agree: list[Accelerated] = []
        refusals: list[str] = []
        for format_name in self._formats:
            try:
                agree.append(self.agreeing(format_name))
            except ModelError as error:
                refusals.append(str(error))
        if not agree:
            raise ModelError("; ".join(refusals))
        best = max(agree, key=lambda each: (min(each.gains) > _NO_LOSS, prod(each.gains)))
        if prod(best.gains) < _LEAST_GAIN or min(best.gains) < _NO_LOSS:
            raise ModelError(f"{best.format} agrees, but gains too little")
        return best

    def agreeing(self, format_name: str) -> Accelerated:
        """The first conversion to a format that agrees, and what it gains.

        Raises the ModelError of the first conversion if none agrees.
        """
        refusals: list[ModelError] = []
        try:
            classes = [target.classes for target in self._manifest.all_targets]
            for artifact in conversion_table.convert(format_name, self._estimator, self._manifest.columns, classes):
                try:
                    runtime = format_table.load(format_name, artifact)
                    self.check(runtime, f"the {format_name} conversion")
                    one, many = map(truediv, self._original_seconds, self._seconds(self._sources_of(runtime, "it")))
                    return Accelerated(format_name, artifact, runtime, (one, many), len(self._compared[0]))
                except ModelError as error:
                    refusals.append(error)
        except ModelError as error:
            refusals.append(error)
        raise refusals[0]

    def check(self, runtime: Runtime, name: str) -> None:
        """Compare a conversion, called `name` in messages.

        Raises ModelMismatch if it lacks a needed output, and with the row and output on which it differs most.
        """
        check_manifest(runtime, self._manifest, name)
        sources = self._sources_of(runtime, name)
        missing = tuple(sorted(self._needed.difference(all_outputs(sources))))
        if missing:
            raise ModelMismatch(f"{name} gives no {', '.join(outputs_by_name(missing, self._manifest.all_targets))}")
        try:
            converted = self._manifest.model_copy(update={"original": self._manifest.artifact})
            check_golden(sources, converted, self._golden, name)
        except ModelMismatch as mismatch:
            raise ModelMismatch(mismatch.reason) from None  # Its fix is other golden rows, which are no fix for a conversion.
        outputs = [output for output in self._outputs if output in all_outputs(sources)]
        rows, expected = self._compared
        expected = expected[:, [self._outputs.index(output) for output in outputs]]
        found = disagreement(self._manifest, outputs, rows, expected, output_function(sources, outputs)(rows))
        if found:
            raise ModelMismatch(f"{name} disagrees on {found}")

    @cached_property
    def _compared(self) -> tuple[Matrix, Matrix]:
        """Rows of shape (n, columns) and the model's answers of shape (n, outputs). Raises ModelError if the model fails on one."""
        # No column is of another type than float64, so golden rows are a Matrix.
        golden: list[Any] = [golden_rows(self._golden, self._manifest)] if self._golden else []
        predict = output_function(self._sources, self._outputs)
        try:
            scale = self._scale()
            rows = np.vstack((*golden, *self._training_rows(), probe_rows(self._ranges, lambda rows: predict(rows) / scale)))
            answers = predict(rows)
        except Exception as error:  # An estimator may raise anything.
            raise ModelError(f"the model fails within its bounds ({exception_text(error)})") from error
        if not np.isfinite(answers).all():
            raise ModelError("the model fails within its bounds (an answer is not finite)")
        return rows, answers

    def _training_rows(self) -> Iterator[Matrix]:
        """Rows of the training data that lack no value but those that may be missing: 20,000, fewer if they are wide."""
        if isinstance(self._training, np.ndarray):
            rows = self._training[: min(_TRAINING_ROWS, _TRAINING_NUMBERS // self._training.shape[1])]
            yield rows[~(np.isnan(rows) & ~self._ranges.nullable).any(1)]

    def _scale(self) -> Matrix:
        """The largest absolute value of each output, shape (outputs,); 1 for probabilities, labels and a value that is always 0."""
        rows = self._ranges.random_rows(np.random.default_rng(1), _SCALE_ROWS)
        largest = np.abs(output_function(self._sources, self._outputs)(rows)).max(0)
        is_value = np.array([output.kind == "value" for output in self._outputs])
        return np.where(is_value & (largest > 0), largest, 1.0)

    def _sources_of(self, runtime: Runtime, name: str) -> tuple[Source, ...]:
        return checked_sources(runtime, self._manifest, self._golden, name)

    @cached_property
    def _original_seconds(self) -> tuple[float, float]:
        return self._seconds(self._sources)

    def _seconds(self, sources: tuple[Source, ...]) -> tuple[float, float]:
        """Time of a run of one row, and of 64."""
        predict = output_function(sources, [output for output in self._outputs if output in self._needed])
        rows = self._ranges.random_rows(np.random.default_rng(2), _TIMED_ROWS)
        one, many = (partial(predict, rows[:count]) for count in (1, _TIMED_ROWS))
        rounds = 7 if timeit(many, number=1) < 0.05 else 1
        return min(repeat(one, number=3, repeat=rounds)) / 3, min(repeat(many, number=3, repeat=rounds)) / 3
