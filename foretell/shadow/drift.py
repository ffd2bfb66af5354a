"""Differences between the numbers of two versions: row by row, and between their distributions."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
"""Shape (rows,)."""

BINS = 10
"""Bins of the population stability index: tenths of production's answers."""

_EMPTY = 1e-4
"""Share of an empty bin, whose logarithm would be infinite."""

MODERATE, LARGE = 0.1, 0.25
"""Lowest index of a moderate and of a large shift."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Differences of a shadow's numbers from production's, in the unit of the numbers.

    The largest and the mean absolute difference, the mean of the shadow minus that of production, the root of the mean squared
    difference, and the population stability index.
    """

    largest: float
    mean: float
    bias: float
    rmse: float
    psi: float

    @classmethod
    def of(cls, production: Numbers, shadow: Numbers) -> "Shift":
        """From two arrays of one length, at least 1."""
        difference = shadow - production
        rmse = float(np.sqrt(np.mean(difference**2)))
        largest, mean = float(np.abs(difference).max()), float(np.abs(difference).mean())
        return cls(largest, mean, float(difference.mean()), rmse, population_stability_index(production, shadow))


def population_stability_index(production: Numbers, shadow: Numbers) -> float:
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
    """Share of the numbers in each bin; a bin includes its upper edge."""
    counts = np.bincount(np.searchsorted(edges, numbers, side="left"), minlength=len(edges) + 1)
    return np.maximum(counts / len(numbers), _EMPTY)


def shift_cells(shift: Shift, rows: int) -> list[str]:
    """The figures of a number, rounded: largest, mean, bias, RMSE and PSI."""
    figures = [f"{value:.3g}" for value in (shift.largest, shift.mean, shift.bias, shift.rmse)]
    return [*figures, f"{shift.psi:.3f} ({psi_size(shift.psi, rows)})"]


def psi_size(psi: float, rows: int) -> str:
    """An index in words; with few rows, chance alone moves it that far."""
    if 2 * (BINS - 1) / rows >= MODERATE:
        return "too few rows"
    return "large" if psi >= LARGE else "moderate" if psi >= MODERATE else "small"
