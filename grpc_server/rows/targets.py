"""The targets that a model predicts, their classes, and the names of its outputs in golden rows and messages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grpc_server.rows.outputs import Output


@dataclass(frozen=True, slots=True)
class Target:
    """One quantity that a model predicts: a class or a number."""

    name: str
    """Empty for the only target of a model."""
    classes: tuple[str, ...]
    """In the order of the model's own output; empty for a number."""

    @property
    def positive(self) -> int | None:
        """Index of the class that means yes, for two classes such as "no" and "yes" or "0" and "1"; else None."""
        return 1 if tuple(name.lower() for name in self.classes) in _NO_AND_YES else None


_NO_AND_YES = {("0", "1"), ("false", "true"), ("no", "yes"), ("-1", "1"), ("0.0", "1.0")}

OUTLIER_CLASSES = ("outlier", "inlier")
"""Names for the -1 and 1 of scikit-learn's outlier detectors."""


def integer_classes(target: Target) -> tuple[int, ...] | None:
    """The classes as integers; None if one is not an integer."""
    if target.classes == OUTLIER_CLASSES:
        return (-1, 1)
    try:
        return tuple(map(int, target.classes))
    except ValueError:
        return None


def output_name(output: Output, targets: Sequence[Target]) -> str:
    """The name of an output: `label`, `probability.setosa`, `value.height`, `distance.0`."""
    target = targets[output.target]
    parts = [output.kind, target.name]
    if output.kind == "probability":
        parts.append(target.classes[output.item])
    elif output.kind in ("distance", "component", "decision"):
        parts.append(str(output.item))
    return ".".join(filter(None, parts))


def outputs_by_name(outputs: Iterable[Output], targets: Sequence[Target]) -> dict[str, Output]:
    """Each output by its name, in the order of `outputs`."""
    return {output_name(output, targets): output for output in outputs}
