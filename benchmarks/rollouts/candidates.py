"""Versions of the iris model with one fault each, which the gates must refuse, and one that is slow, for the shadow."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import Matrix

SLOW_ROW_SECONDS = 0.2
"""Seconds of `Slow` for a row, above `max_row_seconds` of the server."""


class Candidate:
    """Answers as the estimator that it wraps."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.classes_ = estimator.classes_
        self.n_features_in_ = estimator.n_features_in_

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        return self.estimator.predict_proba(rows)


class Narrow(Candidate):
    """Takes one column less."""

    def __init__(self, estimator: Any) -> None:
        super().__init__(estimator)
        self.n_features_in_ = estimator.n_features_in_ - 1


class Backwards(Candidate):
    """Has its classes in reverse order."""

    def __init__(self, estimator: Any) -> None:
        super().__init__(estimator)
        self.classes_ = estimator.classes_[::-1]


class Words(Candidate):
    """Answers with text."""

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        return np.full((len(rows), len(self.classes_)), "a third")


class NotANumber(Candidate):
    """Answers with NaN."""

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        return super().predict_proba(rows) * np.nan


class Off(Candidate):
    """Gives other probabilities than its golden row."""

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        return super().predict_proba(rows)[:, ::-1]


class Slow(Candidate):
    """Uses a core for a long time for each row."""

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        burn(SLOW_ROW_SECONDS)
        return super().predict_proba(rows)


class Crashing(Candidate):
    """Crashes its process, as a broken library does."""

    def predict_proba(self, _rows: Matrix) -> Any:
        """As of scikit-learn."""
        os.kill(os.getpid(), signal.SIGSEGV)


class Hanging(Candidate):
    """Uses a core for ever, and never answers."""

    def predict_proba(self, _rows: Matrix) -> Any:
        """As of scikit-learn."""
        burn(float("inf"))


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
    make: Callable[[Any], Candidate]
    gate: str
    """The gate that must refuse it."""


HANG = "hang"

FAULTS = (
    Fault("wrong width", Narrow, "contract"),
    Fault("class order", Backwards, "contract"),
    Fault("dtype", Words, "contract"),
    Fault("NaN", NotANumber, "contract"),
    Fault("other answers", Off, "golden"),
    Fault("slow", Slow, "warm-up"),
    Fault("segfault", Crashing, "contract"),
    Fault(HANG, Hanging, "contract"),
)
