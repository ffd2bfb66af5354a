"""What boosted trees say of a row, by what they were trained for."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Output, Source

Kind = Literal["probability", "value", "score"]

Raw = Callable[[Any], NDArray[Any]]
"""From rows to shape (rows, numbers), in the library's own type of number."""


def sources(kind: Kind, raw: Raw, width: int, targets: int) -> tuple[Source, ...]:
    """What can be had of `width` numbers a row.

    Probabilities of several `targets` are those that each is there; else one number is the probability of the second of two
    classes, and several are those of all classes.
    """
    if kind != "probability":
        return (Source(tuple(Output(kind, 0, target) for target in range(width)), lambda rows: raw(rows).astype(np.float64)),)
    yes_or_no = width == targets
    each = 2 if yes_or_no else width
    probabilities = tuple(Output("probability", item, target) for target in range(targets) for item in range(each))
    labels = tuple(Output("label", 0, target) for target in range(targets))

    def of_all(rows: Any) -> NDArray[Any]:
        """Shape (rows, targets, classes)."""
        answers = raw(rows)
        if yes_or_no:
            return np.stack((1 - answers, answers), axis=2)  # In the library's type of number, as its own classifiers do it.
        of_one: NDArray[Any] = answers[:, None, :]
        return of_one

    def beside(answers: NDArray[Any]) -> Matrix:
        flat: Matrix = answers.reshape(len(answers), -1).astype(np.float64, copy=False)
        return flat

    def likeliest(answers: NDArray[Any]) -> Matrix:
        places: Matrix = answers.argmax(2).astype(np.float64)
        return places

    def with_labels(rows: Any) -> Matrix:
        answers = of_all(rows)
        return np.hstack((likeliest(answers), beside(answers)))

    return (
        Source(probabilities, lambda rows: beside(of_all(rows))),
        Source(labels, lambda rows: likeliest(of_all(rows))),
        Source(labels + probabilities, with_labels),
    )


def classes_of(kind: Kind, targets: int) -> tuple[tuple[str, ...] | None, tuple[tuple[str, ...], ...]]:
    """`classes` and `targets` of a Runtime, whose file names neither."""
    if kind != "probability":
        return (), ()
    return ((), (("0", "1"),) * targets) if targets > 1 else (None, ())
