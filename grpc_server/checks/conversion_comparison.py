"""Compares conversions of a scikit-learn model with the model itself, by their answers to the same rows and by their speed."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from timeit import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from grpc_server.checks.disagreement import disagreement
from grpc_server.checks.golden_rows import check_golden
from grpc_server.checks.manifest_agreement import check_manifest, checked_sources
from grpc_server.checks.probe_rows import ColumnRanges, probe_rows
from grpc_server.errors import ModelError, ModelMismatch, exception_text
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Output, Source, all_outputs, output_function
from grpc_server.rows.targets import outputs_by_name
from grpc_server.runtimes.conversions import conversion_table
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.manifest import GoldenRow, Manifest, golden_rows

if TYPE_CHECKING:  # It imports scikit-learn.
    from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime

COMPARED_KINDS = frozenset({"probability", "label", "value"})
"""Kinds of outputs that conversions give."""

_SCALE_ROWS = 1024
"""Rows that show how large a regressor's answers are."""


@dataclass(frozen=True, slots=True)
class Accelerated:
    """A conversion that agrees with its original."""

    format: str
    artifact: bytes
    runtime: Runtime


class ConversionComparison:
    """A classifier or regressor, and the rows on which each conversion must give its answers."""

    def __init__(
        self,
        original: "EstimatorRuntime",
        manifest: Manifest,
        golden: tuple[GoldenRow, ...],
        ranges: ColumnRanges,
        needed: AbstractSet[Output] = frozenset(),
    ) -> None:
        """A conversion must give the outputs in `needed`; if that is empty, all that can be compared."""
        self._manifest, self._golden, self._ranges, self._estimator = manifest, golden, ranges, original.estimator
        self._sources = checked_sources(original, manifest, golden, "the model")
        self._outputs = tuple(output for output in all_outputs(self._sources) if output.kind in COMPARED_KINDS)
        """Outputs that are compared if a conversion gives them."""
        self._needed = set(needed or self._outputs)

    def fastest(self) -> tuple[Accelerated | None, str]:
        """The conversion that agrees at the lowest cost, and why; None if the original costs less.

        Raises ModelError with the reason of each conversion if none agrees.
        """
        agree: list[Accelerated] = []
        refusals: list[str] = []
        for format_name in conversion_table.CONVERSIONS:
            try:
                agree.append(self.agreeing(format_name)[0])
            except ModelError as error:
                refusals.append(str(error))
        if not agree:
            raise ModelError("; ".join(refusals))
        best = min(agree, key=lambda conversion: self._cost(self._sources_of(conversion.runtime, "it")))
        if self._cost(self._sources_of(best.runtime, "it")) >= self._cost(self._sources):
            return None, "not accelerated: it is the fastest as it is"
        return best, f"{best.format} is the fastest that agrees with it on {len(self._compared[0]):,} rows"

    def agreeing(self, format_name: str) -> tuple[Accelerated, str]:
        """The first conversion to a format that agrees, and on how many rows.

        Raises the ModelError of the first conversion if none agrees.
        """
        refusals: list[ModelError] = []
        try:
            classes = [target.classes for target in self._manifest.all_targets]
            for artifact in conversion_table.convert(format_name, self._estimator, self._manifest.columns, classes):
                try:
                    runtime = format_table.load(format_name, artifact)
                    self.check(runtime, f"the {format_name} conversion")
                    how = f"{format_name} agrees with it on {len(self._compared[0]):,} rows"
                    return Accelerated(format_name, artifact, runtime), how
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
        self._check_outputs(sources, name)
        try:
            check_golden(sources, self._manifest, self._golden, name)
        except ModelMismatch as mismatch:
            raise ModelMismatch(mismatch.reason) from None  # Its fix is other golden rows, which are no fix for a conversion.
        found = self._disagreement(sources)
        if found:
            raise ModelMismatch(f"{name} disagrees on {found}")

    def _check_outputs(self, sources: tuple[Source, ...], name: str) -> None:
        missing = tuple(sorted(self._needed.difference(all_outputs(sources))))
        if missing:
            names = ", ".join(outputs_by_name(missing, self._manifest.all_targets))
            raise ModelMismatch(f"{name} gives no {names}")

    def _disagreement(self, sources: tuple[Source, ...]) -> str | None:
        given = all_outputs(sources)
        outputs = [output for output in self._outputs if output in given]
        rows, expected = self._compared
        expected = expected[:, [self._outputs.index(output) for output in outputs]]
        return disagreement(self._manifest, outputs, rows, expected, output_function(sources, outputs)(rows))

    @cached_property
    def _compared(self) -> tuple[Matrix, Matrix]:
        """Rows of shape (n, columns) and the model's answers of shape (n, outputs). Raises ModelError if the model fails on one."""
        # No column is of another type than float64, so golden rows are a Matrix.
        golden: list[Any] = [golden_rows(self._golden, self._manifest)] if self._golden else []
        predict = output_function(self._sources, self._outputs)
        try:
            scale = self._scale()
            rows = np.vstack((*golden, probe_rows(self._ranges, lambda rows: predict(rows) / scale)))
            answers = predict(rows)
        except Exception as error:  # An estimator may raise anything.
            raise ModelError(f"the model fails within its bounds ({exception_text(error)})") from error
        if not np.isfinite(answers).all():
            raise ModelError("the model fails within its bounds (an answer is not finite)")
        return rows, answers

    def _scale(self) -> Matrix:
        """The largest absolute value of each output, shape (outputs,); 1 for probabilities, labels and a value that is always 0."""
        rows = self._ranges.random_rows(np.random.default_rng(1), _SCALE_ROWS)
        largest = np.abs(output_function(self._sources, self._outputs)(rows)).max(0)
        is_value = np.array([output.kind == "value" for output in self._outputs])
        return np.where(is_value & (largest > 0), largest, 1.0)

    def _sources_of(self, runtime: Runtime, name: str) -> tuple[Source, ...]:
        return checked_sources(runtime, self._manifest, self._golden, name)

    def _cost(self, sources: tuple[Source, ...]) -> float:
        """Time of one row times time of 64 rows, in seconds squared, so that neither dominates."""
        predict = output_function(sources, [output for output in self._outputs if output in self._needed])
        return prod(min(repeat(partial(predict, self._compared[0][:count]), number=3, repeat=7)) for count in (1, 64))
