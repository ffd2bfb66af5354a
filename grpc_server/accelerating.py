"""Serving a scikit-learn classifier by a faster runtime than its own, where the two were seen to agree."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from timeit import repeat
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from grpc_server import runtimes
from grpc_server.agreement import GOLDEN_TOLERANCE, check_golden, check_manifest, sources_of
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.manifest import GoldenRow, Manifest, golden_rows
from grpc_server.probes import Ranges, probes
from grpc_server.runtimes import Runtime
from grpc_server.table import Matrix

if TYPE_CHECKING:  # It imports scikit-learn.
    from grpc_server.runtimes.estimator import EstimatorRuntime

Acceleration = Literal["onnx", "trees", "auto"]


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
    ranges: Callable[[], Ranges],
) -> tuple[Accelerated | None, str]:
    """What is served instead of `original`, and why; `ranges` may raise ModelError.

    None where "auto" finds nothing better. Raises ModelError where another choice cannot be had, or does not agree.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # An estimator that knows its columns warns of rows without names.
            comparison = Comparison(original, manifest, golden, ranges())
            return comparison.fastest() if acceleration == "auto" else comparison.agreeing(acceleration)
    except ModelError as error:
        if acceleration != "auto":
            raise
        return None, f"not accelerated: {error}"


class Comparison:
    """A classifier, and its answers to the rows that every conversion of it has to answer alike."""

    def __init__(self, original: "EstimatorRuntime", manifest: Manifest, golden: tuple[GoldenRow, ...], ranges: Ranges) -> None:
        self._original, self._manifest, self._golden, self._ranges = original, manifest, golden, ranges

    @cached_property
    def _compared(self) -> tuple[Matrix, Matrix]:
        """Rows, and the classifier's answers to them. Raises ModelError where it has none."""
        known: Any = (
            [golden_rows(self._golden, self._manifest)] if self._golden else []
        )  # No column is of another type than float64.
        try:
            rows = np.vstack((*known, probes(self._ranges, self._original.predict)))
            return rows, self._original.predict(rows)
        except Exception as error:  # An estimator may raise anything.
            raise ModelError(f"the model fails within its bounds ({type(error).__name__}: {str(error)[:200]})") from error

    def fastest(self) -> tuple[Accelerated | None, str]:
        """The conversion of the lowest cost among those that agree; None where the original costs less. Raises ModelError."""
        agree: list[Accelerated] = []
        refusals: list[str] = []
        for format_name in runtimes.CONVERSIONS:
            try:
                agree.append(self.agreeing(format_name)[0])
            except ModelError as error:
                refusals.append(str(error))
        if not agree:
            raise ModelError("; ".join(refusals))
        best = min(agree, key=lambda conversion: self._cost(conversion.runtime))
        if self._cost(best.runtime) >= self._cost(self._original):
            return None, "not accelerated: it is the fastest as it is"
        return best, f"{best.format} is the fastest that agrees with it on {len(self._compared[0]):,} rows"

    def agreeing(self, format_name: str) -> tuple[Accelerated, str]:
        """The first conversion to a format that agrees. Raises ModelError with what is wrong with the very first."""
        refusals: list[ModelError] = []
        try:
            estimator, manifest = self._original.estimator, self._manifest
            for artifact in runtimes.conversions(format_name, estimator, manifest.columns, manifest.classes):
                try:
                    runtime = runtimes.load(format_name, artifact)
                    self.check(runtime, f"the {format_name} conversion")
                    how = f"{format_name} agrees with it on {len(self._compared[0]):,} rows"
                    return Accelerated(format_name, artifact, runtime), how
                except ModelError as error:
                    refusals.append(error)
        except ModelError as error:
            refusals.append(error)
        raise refusals[0]

    def check(self, runtime: Runtime, name: str) -> None:
        """The conversion called `name` agrees. Raises ModelMismatch with the row and the class on which it is farthest off."""
        check_manifest(runtime, self._manifest, name)
        predict = self._checked(runtime, name)
        rows, expected = self._compared
        answers = predict(rows)
        off = np.abs(answers - expected)
        likeliest, instead = expected.argmax(1), answers.argmax(1)
        near = off.max(1) <= GOLDEN_TOLERANCE  # False for what is not a number.
        wrong = ~near | (likeliest != instead)
        if not wrong.any():
            return
        row = int(np.where(wrong, off.max(1), -1.0).argmax())
        index = int(instead[row] if near[row] else off[row].argmax())
        pairs = zip(self._manifest.columns, rows[row].tolist(), strict=True)
        place = ", ".join(f"{column}={value!r}" for column, value in pairs)
        says = f"it gives {self._manifest.classes[index]} {answers[row, index]:.9g}, the original {expected[row, index]:.9g}"
        tie = f", so that {self._manifest.classes[likeliest[row]]} is no longer the likeliest" if near[row] else ""
        raise ModelMismatch(f"{name} disagrees on {wrong.sum()} of {len(wrong)} rows, most at {place}: {says}{tie}")

    def _checked(self, runtime: Runtime, name: str) -> Callable[[Matrix], Matrix]:
        """What gives the probabilities of a conversion that answers the golden rows as expected. Raises ModelMismatch."""
        sources = sources_of(runtime, self._manifest, self._golden, name)
        check_golden(sources, self._manifest, self._golden, name)
        return sources[0].run

    def _cost(self, runtime: Runtime) -> float:
        """The time of one row times that of 64 rows, so that neither is neglected."""
        predict = sources_of(runtime, self._manifest, self._golden, "it")[0].run
        return prod(min(repeat(partial(predict, self._compared[0][:count]), number=3, repeat=7)) for count in (1, 64))
