"""How far the numbers of two versions are apart: row by row, and as distributions."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
"""Shape (rows,)."""

BINS = 10
"""Of a population stability index: tenths of what production has answered."""

_EMPTY = 1e-4
"""The share that an empty bin is given, because its logarithm would be infinite."""

MODERATE, LARGE = 0.1, 0.25
"""From where on an index tells of a moderate and of a large shift."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How the numbers of a shadow differ from those of production, in the unit of the numbers."""

    largest: float
    """Largest difference, without its sign."""
    mean: float
    """Mean difference, without the signs."""
    bias: float
    """Mean of the shadow less mean of production."""
    rmse: float
    """Root of the mean squared difference."""
    psi: float
    """Population stability index, without a unit."""

    @classmethod
    def of(cls, production: Numbers, shadow: Numbers) -> "Shift":
        """Of as many rows, at least one."""
        apart = shadow - production
        rmse = float(np.sqrt(np.mean(apart**2)))
        largest, mean = float(np.abs(apart).max()), float(np.abs(apart).mean())
        return cls(largest, mean, float(apart.mean()), rmse, stability(production, shadow))


def stability(production: Numbers, shadow: Numbers) -> float:
    """The population stability index: the sum over bins of (s - p) ln(s / p), where p and s are the shares of both in a bin.

    Bins are the tenths of production, as in N. Siddiqi, Credit Risk Scorecards (Wiley, 2006), who reads below 0.1 as no
    significant change, to 0.25 as a small one and above as a large one. B. Yurdakul and J. Naranjo, Statistical properties of the
    population stability index (Journal of Risk Model Validation, 2020), derive what chance alone makes of it: about
    9 (1 / rows + 1 / rows). Where many values are equal, there are fewer bins; an empty one counts as a ten-thousandth.
    """
    edges = np.unique(np.quantile(production, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    ours, theirs = _shares(production, edges), _shares(shadow, edges)
    return float(np.sum((theirs - ours) * np.log(theirs / ours)))


def _shares(numbers: Numbers, edges: Numbers) -> Numbers:
    """The share of the numbers in each bin; a bin ends with its edge, the last one never."""
    counts = np.bincount(np.searchsorted(edges, numbers, side="left"), minlength=len(edges) + 1)
    return np.maximum(counts / len(numbers), _EMPTY)


def judged(psi: float, rows: int) -> str:
    """An index in words; of few rows it says nothing, because chance alone moves it that far."""
    if 2 * (BINS - 1) / rows >= MODERATE:
        return "too few rows"
    return "large" if psi >= LARGE else "moderate" if psi >= MODERATE else "small"
