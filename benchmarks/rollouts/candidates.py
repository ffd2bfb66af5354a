"""Versions of the iris model with one fault each, which the gates must refuse, and one that is slow, for the shadow."""

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import Matrix

NARROW, BACKWARDS, WORDS, NAN, OTHER = "wrong width", "class order", "dtype", "NaN", "other answers"
SLOW, SEGFAULT, HANG = "slow", "segfault", "hang"
SLOW_ROW_SECONDS = 0.2
"""CPU seconds of a slow version for a row, above `max_row_seconds` of the server."""


class Candidate:
    """Answers as the estimator that it wraps, but for a fault."""

    def __init__(self, estimator: Any, fault: str = "") -> None:
        self.estimator, self.fault = estimator, fault
        self.classes_ = estimator.classes_[:: -1 if fault == BACKWARDS else 1]
        self.n_features_in_ = estimator.n_features_in_ - (fault == NARROW)

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        if self.fault == SEGFAULT:
            os.kill(os.getpid(), signal.SIGSEGV)  # as a broken library does
        burn({SLOW: SLOW_ROW_SECONDS, HANG: float("inf")}.get(self.fault, 0.0))
        found = self.estimator.predict_proba(rows)
        changed = {WORDS: np.full(found.shape, "a third"), NAN: found * np.nan, OTHER: found[:, ::-1]}
        return changed.get(self.fault, found)


class HundredTimesSlower(Candidate):
    """Answers as the estimator, in a hundred times its time."""

    def __init__(self, estimator: Any, seconds: float) -> None:
        """`seconds` is the estimator's time for a row."""
        super().__init__(estimator)
        self.seconds = 100 * seconds

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        burn(self.seconds * len(rows))
        return super().predict_proba(rows)


def burn(seconds: float) -> None:
    """Use so many seconds of CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a version."""

    name: str
    gate: str
    """The gate that must refuse it."""

    def make(self, estimator: Any) -> Candidate:
        """A version with the fault."""
        return Candidate(estimator, self.name)


FAULTS = (
    *(Fault(name, "contract") for name in (NARROW, BACKWARDS, WORDS, NAN)),
    Fault(OTHER, "golden"),
    Fault(SLOW, "warm-up"),
    *(Fault(name, "contract") for name in (SEGFAULT, HANG)),
)
