"""What a model can say of a row. Its answer is a matrix of numbers, whose columns are outputs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from grpc_server.rows.mixed_rows import Matrix

KINDS = ("probability", "label", "value", "std", "lower", "upper", "score", "decision", "cluster", "distance", "component")
"""All there are; `foretell.v1.Quantity` names the same."""


class Output(NamedTuple):
    """One number of the answer to a row. A label is the place of its class among the classes."""

    kind: str
    item: int = 0
    """Which class, cluster or component."""
    target: int = 0
    """Which target, of a model that predicts several."""


@dataclass(frozen=True, slots=True)
class Source:
    """A way to ask a model for some outputs at once."""

    outputs: tuple[Output, ...]
    run: Callable[[Any], Matrix]
    """From rows to shape (rows, outputs)."""


def probabilities(classes: int, run: Callable[[Any], Matrix]) -> Source:
    """The source of a classifier that gives nothing but a probability of each class."""
    return Source(tuple(Output("probability", item) for item in range(classes)), run)


def several_probabilities(classes: Sequence[int]) -> tuple[Output, ...]:
    """The outputs of a classifier of several targets, each with so many classes: those of the first, then those of the next."""
    return tuple(Output("probability", item, target) for target, count in enumerate(classes) for item in range(count))


def per_target(kind: str, targets: int) -> tuple[Output, ...]:
    """A value or a label of each target."""
    return tuple(Output(kind, 0, target) for target in range(targets))


def offered(sources: Sequence[Source]) -> tuple[Output, ...]:
    """All outputs that the sources give, each once."""
    return tuple(dict.fromkeys(output for source in sources for output in source.outputs))


def asking(sources: Sequence[Source], wanted: Sequence[Output]) -> Callable[[Any], Matrix]:
    """A function that gives just these outputs, in their order, by as few sources as will do."""
    wanted = tuple(wanted)
    for source in sources:
        if source.outputs == wanted:
            return source.run
    used: list[Source] = []
    left = set(wanted)
    while left:
        best = max(sources, key=lambda source: len(left.intersection(source.outputs)))
        used.append(best)
        left -= set(best.outputs)
    given = [output for source in used for output in source.outputs]
    places = [given.index(output) for output in wanted]

    def run(rows: Any) -> Matrix:
        answers: Matrix = np.hstack([source.run(rows) for source in used])[:, places]
        return answers

    return run


def to_text(outputs: Sequence[Output]) -> str:
    """For another process."""
    return json.dumps(outputs)


def from_text(text: str) -> tuple[Output, ...]:
    """What `to_text` wrote."""
    return tuple(Output(*each) for each in json.loads(text))
