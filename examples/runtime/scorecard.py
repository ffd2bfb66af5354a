"""A model format in thirty lines: files `.scorecard` that hold `{"base": 600, "points": {"age": 1.5, "income": 0.01}}`."""

import json

import numpy as np

from foretell.runtimes import Format, ModelUnloadable, Output, Source


class Scorecard:
    """Adds a base and points for each column to a score."""

    classes, targets = (), ()  # It predicts a number, no class.

    def __init__(self, base: float, points: dict[str, float]) -> None:
        self.columns, self.width = tuple(points), len(points)
        self._base, self._weights = base, np.array(list(points.values()), np.float64)

    def sources(self, *_arguments: object) -> tuple[Source, ...]:
        """One way to predict: from rows of shape (n, columns) to scores of shape (n, 1)."""
        return (Source((Output("score"),), lambda rows: (self._base + rows @ self._weights)[:, None]),)


def load(artifact: bytes) -> Scorecard:
    """The scorecard in the bytes of a file."""
    try:
        facts = json.loads(artifact)
        return Scorecard(float(facts["base"]), facts["points"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnloadable(f"the file holds no scorecard: {error!r}") from error


FORMAT = Format(suffixes=(".scorecard",), loader="scorecard:load", libraries=("foretell-scorecard",))
