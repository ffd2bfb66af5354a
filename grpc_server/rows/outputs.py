"""Outputs: the numbers that a model can compute for a row, the functions that compute them, and checks of a matrix of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from grpc_server.rows.mixed_rows import Matrix

KINDS = ("probability", "label", "value", "std", "lower", "upper", "score", "decision", "cluster", "distance", "component")
"""Every kind of output; the same names as in `foretell.v1.Quantity`."""


class Output(NamedTuple):
    """One number that a model computes for a row. A label is the index of its class."""

    kind: str
    item: int = 0
    """Index of the class, cluster or component."""
    target: int = 0
    """Index of the target, for a model of several."""


@dataclass(frozen=True, slots=True)
class Source:
    """A function of a model that computes some outputs at once."""

    outputs: tuple[Output, ...]
    run: Callable[[Any], Matrix]
    """Takes rows, returns shape (rows, outputs), float64."""


def probability_outputs(classes: Sequence[int]) -> tuple[Output, ...]:
    """The probabilities of a model whose targets have `classes` classes each, target by target."""
    return tuple(Output("probability", item, target) for target, count in enumerate(classes) for item in range(count))


def outputs_per_target(kind: str, targets: int) -> tuple[Output, ...]:
    """One output of this kind for each target."""
    return tuple(Output(kind, 0, target) for target in range(targets))


def all_outputs(sources: Sequence[Source]) -> tuple[Output, ...]:
    """The outputs of all sources, without duplicates, in their order."""
    return tuple(dict.fromkeys(output for source in sources for output in source.outputs))


def output_function(sources: Sequence[Source], outputs: Sequence[Output]) -> Callable[[Any], Matrix]:
    """A function from rows to exactly these outputs, shape (rows, outputs), that calls few of the sources.

    Every output must be one of `all_outputs(sources)`.
    """
    used: list[Source] = []
    left = set(outputs)
    while left:
        best = max(sources, key=lambda source: len(left.intersection(source.outputs)))
        used.append(best)
        left -= set(best.outputs)
    if used[0].outputs == tuple(outputs):
        return used[0].run
    computed = [output for source in used for output in source.outputs]
    columns = [computed.index(output) for output in outputs]

    def run(rows: Any) -> Matrix:
        matrix: Matrix = np.hstack([source.run(rows) for source in used])[:, columns]
        return matrix

    return run


_SMALL = 32
"""Up to this many numbers, pure Python is faster: numpy takes microseconds a call, as long as a small model for one row."""


def is_finite(matrix: Matrix) -> bool:
    """Whether every number is finite."""
    if matrix.size <= _SMALL and isfinite(sum(matrix.ravel().tolist())):
        return True  # Finite numbers may have an infinite sum, but a finite sum has only finite terms.
    return bool(np.isfinite(matrix).all())


def clip_to_unit(matrix: Matrix) -> Matrix:
    """Clips the numbers of `matrix` to 0 to 1, in place, and returns it; NaN stays."""
    if matrix.size <= _SMALL:
        numbers = matrix.ravel().tolist()
        if numbers and min(numbers) >= 0.0 and max(numbers) <= 1.0:
            return matrix
    return matrix.clip(0.0, 1.0, out=matrix)
