"""The sources of boosted trees, from the numbers that XGBoost or LightGBM computes for a row."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Source, outputs_per_target, probability_outputs

Kind = Literal["probability", "value", "score"]
"""The meaning of a number, set by the training objective."""

Run = Callable[[Any], NDArray[Any]]
"""From rows to shape (rows, numbers), in the library's own number type."""


def sources(kind: Kind, run: Run, width: int, targets: int) -> tuple[Source, ...]:
    """The sources of a model that computes `width` numbers a row.

    For a classifier, `width` equal to `targets` means that each number is the probability of the second of a target's two classes.
    Otherwise there is one target with `width` classes.
    """
    if kind == "probability":
        return _classifier_sources(run, width, targets)
    return (Source(outputs_per_target(kind, width), lambda rows: run(rows).astype(np.float64)),)


def classes_of(kind: Kind, targets: int) -> tuple[tuple[str, ...] | None, tuple[tuple[str, ...], ...]]:
    """`classes` and `targets` of a Runtime whose file holds no names of either."""
    if kind != "probability":
        return (), ()
    return ((), (("0", "1"),) * targets) if targets > 1 else (None, ())


def _classifier_sources(run: Run, width: int, targets: int) -> tuple[Source, ...]:
    binary = width == targets
    probabilities = probability_outputs([2 if binary else width] * targets)
    labels = outputs_per_target("label", targets)

    def computed(rows: Any) -> NDArray[Any]:
        """Probabilities of shape (rows, targets, classes)."""
        numbers = run(rows)
        if binary:
            return np.stack((1 - numbers, numbers), axis=2)  # In the library's number type, as its own classifiers compute it.
        of_one_target: NDArray[Any] = numbers[:, None, :]
        return of_one_target

    def labels_and_probabilities(rows: Any) -> Matrix:
        found = computed(rows)
        return np.hstack((_likeliest(found), _flat(found)))

    return (
        Source(probabilities, lambda rows: _flat(computed(rows))),
        Source(labels, lambda rows: _likeliest(computed(rows))),
        Source(labels + probabilities, labels_and_probabilities),
    )


def _flat(probabilities: NDArray[Any]) -> Matrix:
    """From shape (rows, targets, classes) to shape (rows, targets * classes)."""
    flat: Matrix = probabilities.reshape(len(probabilities), -1).astype(np.float64, copy=False)
    return flat


def _likeliest(probabilities: NDArray[Any]) -> Matrix:
    """Index of the likeliest class of each target, shape (rows, targets)."""
    indices: Matrix = probabilities.argmax(2).astype(np.float64)
    return indices
