"""Serving a scikit-learn classifier or regressor by a faster runtime than its own, where the two were seen to agree."""

import warnings
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from timeit import repeat
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from foretell_contract.contract import Contract
from grpc_server.checks.disagreement import disagreement
from grpc_server.checks.golden_rows import bind, check_golden, check_manifest, sources_of
from grpc_server.checks.probe_rows import Ranges, probes, ranges
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.rows.class_names import names_of
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Output, Source, asking, offered
from grpc_server.runtimes.conversions import conversion
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.manifest import GoldenRow, Manifest, golden_rows

if TYPE_CHECKING:  # It imports scikit-learn.
    from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime

Acceleration = Literal["onnx", "trees", "auto"]

_COMPARED = {"probability", "label", "value"}
_SCALED = 1024
"""Rows on which the size of a regressor's answers is seen."""


@dataclass(frozen=True, slots=True)
class Accelerated:
    """A conversion that agrees with its original."""

    format: str
    artifact: bytes
    runtime: Runtime


def accelerate(
    acceleration: Acceleration,
    original: "EstimatorRuntime",
    manifest: Manifest,
    golden: tuple[GoldenRow, ...],
    contract: Contract | None,
    name: str,
) -> tuple[Accelerated | None, str]:
    """What is served instead of `original`, and why, where `contract` bounds the rows of the model `name` and says what it answers.

    None where "auto" finds nothing better. Raises ModelError where another choice cannot be had, or does not agree.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # An estimator that knows its columns warns of rows without names.
            columns = _numbers(manifest)
            needed = _needed(original, manifest, golden, contract, name)
            comparison = ConversionComparison(original, manifest, golden, ranges(columns, contract, name, golden), needed)
            return comparison.fastest() if acceleration == "auto" else comparison.agreeing(acceleration)
    except ModelError as error:
        if acceleration != "auto":
            raise
        return None, f"not accelerated: {error}"


def _numbers(manifest: Manifest) -> tuple[str, ...]:
    """The columns. Raises ModelError where some hold no plain numbers."""
    if manifest.dtypes:
        others = ", ".join(f"{column} is {dtype.name}" for column, dtype in manifest.dtypes.items())
        raise ModelError(f"only models of numbers can be converted, and {others}")
    return manifest.columns


def _needed(
    original: "EstimatorRuntime", manifest: Manifest, golden: tuple[GoldenRow, ...], contract: Contract | None, name: str
) -> set[Output]:
    """What the contract's responses take of the model, or all it says where there is no contract that fits. Raises ModelError."""
    sources = sources_of(original, manifest, golden, "the model")
    services = [service for service in contract.services if service.model == name] if contract else []
    try:
        bindings = [each for service in services for each in bind(contract, service, manifest, sources).values()]  # type: ignore[arg-type]
    except ModelMismatch:
        bindings = []
    needed = {output for binding in bindings for output in binding.answers.outputs} or set(offered(sources))
    beyond = [output for output in offered(sources) if output in needed and output.kind not in _COMPARED]
    if beyond and (bindings or len(beyond) == len(needed)):
        names = ", ".join(each for each, _ in names_of(tuple(beyond), manifest.all_targets))
        raise ModelError(f"no conversion gives {names}: conversions give probabilities, labels and values")
    return needed.difference(beyond)


class ConversionComparison:
    """A classifier or regressor, and its answers to the rows that every conversion of it has to answer alike."""

    def __init__(
        self,
        original: "EstimatorRuntime",
        manifest: Manifest,
        golden: tuple[GoldenRow, ...],
        ranges: Ranges,
        needed: AbstractSet[Output] = frozenset(),
    ) -> None:
        """A conversion must give what is `needed`; all that can be compared where nothing is."""
        self._manifest, self._golden, self._ranges, self._estimator = manifest, golden, ranges, original.estimator
        self._sources = sources_of(original, manifest, golden, "the model")
        self._outputs = tuple(output for output in offered(self._sources) if output.kind in _COMPARED)
        """What is compared, as far as a conversion gives it."""
        self._needed = set(needed or self._outputs)

    @cached_property
    def _compared(self) -> tuple[Matrix, Matrix]:
        """Rows, and the model's answers to them. Raises ModelError where it has none."""
        known: Any = (
            [golden_rows(self._golden, self._manifest)] if self._golden else []
        )  # No column is of another type than float64.
        predict = asking(self._sources, self._outputs)
        try:
            scale = np.abs(predict(self._ranges.inside(np.random.default_rng(1), _SCALED))).max(0)
            scale = np.where([output.kind == "value" for output in self._outputs], scale, 1.0)
            rows = np.vstack((*known, probes(self._ranges, lambda rows: predict(rows) / np.where(scale > 0, scale, 1.0))))
            answers = predict(rows)
        except Exception as error:  # An estimator may raise anything.
            raise ModelError(f"the model fails within its bounds ({type(error).__name__}: {str(error)[:200]})") from error
        if not np.isfinite(answers).all():
            raise ModelError("the model fails within its bounds (an answer is not finite)")
        return rows, answers

    def fastest(self) -> tuple[Accelerated | None, str]:
        """The conversion of the lowest cost among those that agree; None where the original costs less. Raises ModelError."""
        agree: list[Accelerated] = []
        refusals: list[str] = []
        for format_name in conversion.CONVERSIONS:
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
        """The first conversion to a format that agrees. Raises ModelError with what is wrong with the very first."""
        refusals: list[ModelError] = []
        try:
            classes = [target.classes for target in self._manifest.all_targets]
            for artifact in conversion.conversions(format_name, self._estimator, self._manifest.columns, classes):
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
        """The conversion called `name` agrees. Raises ModelMismatch with the row and the output on which it is farthest off."""
        check_manifest(runtime, self._manifest, name)
        sources = self._sources_of(runtime, name)
        given = offered(sources)
        lacking = names_of(tuple(sorted(self._needed.difference(given))), self._manifest.all_targets)
        if missing := [each for each, _ in lacking]:
            raise ModelMismatch(f"{name} gives no {', '.join(missing)}")
        try:
            check_golden(sources, self._manifest, self._golden, name)
        except ModelMismatch as mismatch:
            raise ModelMismatch(mismatch.reason) from None  # Other golden rows are no cure for a conversion.
        outputs = [output for output in self._outputs if output in given]
        rows, expected = self._compared
        expected = expected[:, [self._outputs.index(output) for output in outputs]]
        found = disagreement(self._manifest, outputs, rows, expected, asking(sources, outputs)(rows))
        if found:
            raise ModelMismatch(f"{name} disagrees on {found}")

    def _sources_of(self, runtime: Runtime, name: str) -> tuple[Source, ...]:
        return sources_of(runtime, self._manifest, self._golden, name)

    def _cost(self, sources: tuple[Source, ...]) -> float:
        """The time of one row times that of 64 rows, so that neither is neglected."""
        predict = asking(sources, [output for output in self._outputs if output in self._needed])
        return prod(min(repeat(partial(predict, self._compared[0][:count]), number=3, repeat=7)) for count in (1, 64))
