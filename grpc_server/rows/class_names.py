"""The names of what a model tells apart."""

from collections.abc import Iterator
from dataclasses import dataclass

from grpc_server.rows.outputs import Output


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that a model predicts."""

    name: str
    """Empty where it predicts one thing only."""
    classes: tuple[str, ...]
    """In the order of the model's own output; empty where it predicts a number."""

    @property
    def positive(self) -> int | None:
        """Of the two classes of a yes-or-no target the one that means yes; None where that is not clear."""
        return 1 if tuple(name.lower() for name in self.classes) in _YES_OR_NO else None


_YES_OR_NO = {("0", "1"), ("false", "true"), ("no", "yes"), ("-1", "1"), ("0.0", "1.0")}

OUTLIER_CLASSES = ("outlier", "inlier")
"""What scikit-learn's outlier detectors call -1 and 1."""


def integers(target: Target) -> tuple[int, ...] | None:
    """The classes as whole numbers; None where they are none."""
    if target.classes == OUTLIER_CLASSES:
        return (-1, 1)
    try:
        return tuple(map(int, target.classes))
    except ValueError:
        return None


def name_of(output: Output, targets: tuple[Target, ...]) -> str:
    """How golden rows and messages name an output: `label`, `probability.setosa`, `value.height`, `distance.0`."""
    target = targets[output.target]
    parts = [output.kind, target.name]
    if output.kind == "probability":
        parts.append(target.classes[output.item])
    elif output.kind in ("distance", "component", "decision"):
        parts.append(str(output.item))
    return ".".join(filter(None, parts))


def names_of(outputs: tuple[Output, ...], targets: tuple[Target, ...]) -> Iterator[tuple[str, Output]]:
    """Each output behind its name."""
    return ((name_of(output, targets), output) for output in outputs)
