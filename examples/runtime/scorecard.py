"""A format of Foretell in thirty lines: `{"base": 600, "points": {"age": 1.5, "income": 0.01}}` in a file `.scorecard`."""

import json

import numpy as np

from foretell.runtimes import Format, ModelUnloadable, Output, Source


class Scorecard:
    """Adds up points: a score for each row."""

    classes, targets = (), ()  # It tells no classes apart.

    def __init__(self, base: float, points: dict[str, float]) -> None:
        self.columns, self.width = tuple(points), len(points)
        self._base, self._weights = base, np.array(list(points.values()), np.float64)

    def sources(self, *_facts: object) -> tuple[Source, ...]:
        """What it can say: from rows of shape (n, columns) to numbers of shape (n, outputs)."""
        return (Source((Output("score"),), lambda rows: (self._base + rows @ self._weights)[:, None]),)


def load(artifact: bytes) -> Scorecard:
    """The scorecard in a file."""
    try:
        facts = json.loads(artifact)
        return Scorecard(float(facts["base"]), facts["points"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnloadable(f"this is no scorecard: {error!r}") from error


FORMAT = Format(suffixes=(".scorecard",), loader="scorecard:load", libraries=("foretell-scorecard",))
