"""The sources of tree ensembles, from the numbers that XGBoost, LightGBM or treelite computes for a row."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Source, outputs_per_target, probability_outputs

Kind = Literal["probability", "value", "score"]
"""The meaning of a number, set by the training objective."""


def boosted_sources(kind: Kind, run: Callable[[Any], NDArray[Any]], width: int, targets: int) -> tuple[Source, ...]:
    """The sources of a model whose `run` gives `width` numbers a row, in the library's own number type.

    For a classifier, `width` equal to `targets` means that each number is the probability of the second of a target's two classes.
    Otherwise there is one target with `width` classes.
    """
    if kind != "probability":
        return (Source(outputs_per_target(kind, width), lambda rows: run(rows).astype(np.float64)),)
    if width == targets:
        return classifier_sources([2] * targets, lambda rows: [both_classes(column[:, None]) for column in run(rows).T])
    return classifier_sources([width], lambda rows: [run(rows)])


def classifier_sources(class_counts: Sequence[int], run: Callable[[Any], list[NDArray[Any]]]) -> tuple[Source, ...]:
    """The sources of a classifier; `run` gives the probabilities of each target, shape (rows, classes).

    The label of a target is its likeliest class.
    """
    probabilities = probability_outputs(class_counts)
    labels = outputs_per_target("label", len(class_counts))

    def labels_and_probabilities(rows: Any) -> Matrix:
        found = run(rows)
        return np.concatenate((_likeliest(found), *found), axis=1, dtype=np.float64)

    return (
        Source(probabilities, lambda rows: np.concatenate(run(rows), axis=1, dtype=np.float64)),
        Source(labels, lambda rows: _likeliest(run(rows))),
        Source(labels + probabilities, labels_and_probabilities),
    )


def both_classes(second: NDArray[Any]) -> NDArray[Any]:
    """From shape (rows, 1) to (rows, 2), in the library's number type, as its own classifiers compute the first class."""
    return np.concatenate((1 - second, second), axis=1)


def classes_of(kind: Kind, targets: int) -> tuple[tuple[str, ...] | None, tuple[tuple[str, ...], ...]]:
    """`classes` and `targets` of a Runtime whose file holds no names of either."""
    if kind != "probability":
        return (), ()
    return ((), (("0", "1"),) * targets) if targets > 1 else (None, ())


def _likeliest(probabilities: list[NDArray[Any]]) -> Matrix:
    """Index of the likeliest class of each target, shape (rows, targets)."""
    return np.column_stack([each.argmax(1) for each in probabilities]).astype(np.float64)
