"""The targets that a model predicts, their classes, and the names of its outputs in golden rows and messages."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from grpc_server.rows.outputs import Output

ClassType: TypeAlias = Literal["", "text", "integer", "number", "bool"]
"""The type of a target's classes in the training data; empty if unknown, as in a booster's file or an older manifest."""

_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class Target:
    """One quantity that a model predicts: a class or a number."""

    name: str
    """Empty for the only target of a model."""
    classes: tuple[str, ...]
    """In the order of the model's own output; empty for a number."""
    class_type: ClassType = ""

    @property
    def positive(self) -> int | None:
        """Index of the class that means yes, for two classes such as "no" and "yes" or "0" and "1"; else None."""
        return 1 if tuple(name.lower() for name in self.classes) in _NO_AND_YES else None

    @property
    def has_integer_classes(self) -> bool:
        """Whether the classes are integers. Of an unknown type, plainly spelled integers are."""
        return self.class_type == "integer" or (not self.class_type and integer_classes(self) is not None)


_NO_AND_YES = {("0", "1"), ("false", "true"), ("no", "yes"), ("-1", "1"), ("0.0", "1.0")}

OUTLIER_CLASSES = ("outlier", "inlier")
"""Names for the -1 and 1 of scikit-learn's outlier detectors."""


def class_type(classes: Iterable[Any]) -> ClassType:
    """The type of the values that stand for classes."""
    types = {type(each) for each in classes}
    names: dict[type, ClassType] = {str: "text", int: "integer", float: "number", bool: "bool"}
    return names.get(types.pop(), "") if len(types) == 1 else ""


def integer_classes(target: Target) -> tuple[int, ...] | None:
    """The integers whose plain decimal spelling the classes are; None if one is spelled otherwise, such as "01" or "1.0"."""
    if target.classes == OUTLIER_CLASSES:
        return (-1, 1)
    return tuple(map(int, target.classes)) if all(map(_PLAIN_INTEGER.fullmatch, target.classes)) else None


def output_name(output: Output, targets: Sequence[Target]) -> str:
    """The name of an output: `label`, `probability.setosa`, `value.height`, `distance.0`; `probability.0` of a cluster."""
    target = targets[output.target]
    parts = [output.kind, target.name]
    if output.kind == "probability":
        parts.append(target.classes[output.item] if target.classes else str(output.item))
    elif output.kind in ("distance", "component", "decision"):
        parts.append(str(output.item))
    return ".".join(filter(None, parts))


def outputs_by_name(outputs: Iterable[Output], targets: Sequence[Target]) -> dict[str, Output]:
    """Each output by its name, in the order of `outputs`."""
    return {output_name(output, targets): output for output in outputs}
