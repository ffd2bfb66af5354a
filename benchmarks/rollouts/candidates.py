"""Versions that must not go live, and one that is slow: each is the iris model with one thing wrong."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import Matrix

SLOW_ROW_SECONDS = 0.2
"""What `Slow` takes for a row, above the `max_row_seconds` of the server."""


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
    """Wants a column less."""

    def __init__(self, estimator: Any) -> None:
        super().__init__(estimator)
        self.n_features_in_ = estimator.n_features_in_ - 1


class Backwards(Candidate):
    """Has its classes the other way round."""

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
    """Answers otherwise than when it was added."""

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        return super().predict_proba(rows)[:, ::-1]


class Slow(Candidate):
    """Takes long for a row, and all of a core meanwhile."""

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        burn(SLOW_ROW_SECONDS)
        return super().predict_proba(rows)


class Crashing(Candidate):
    """Ends its process as a broken library does."""

    def predict_proba(self, _rows: Matrix) -> Any:
        """As of scikit-learn."""
        os.kill(os.getpid(), signal.SIGSEGV)


class Hanging(Candidate):
    """Never answers, and takes all of a core meanwhile."""

    def predict_proba(self, _rows: Matrix) -> Any:
        """As of scikit-learn."""
        burn(float("inf"))


class HundredTimesSlower(Candidate):
    """Answers as the model, after a hundred times as long."""

    def __init__(self, estimator: Any, seconds: float) -> None:
        """`seconds` is what the estimator takes for a row."""
        super().__init__(estimator)
        self.seconds = 100 * seconds

    def predict_proba(self, rows: Matrix) -> Any:
        """As of scikit-learn."""
        burn(self.seconds * len(rows))
        return super().predict_proba(rows)


def burn(seconds: float) -> None:
    """Take as much of a core's time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with a version."""

    says: str
    make: Callable[[Any], Candidate]
    gate: str
    """At which it must be refused."""


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
