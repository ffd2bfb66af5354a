"""The interface of a loaded model."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from grpc_server.rows.mixed_rows import Dtype, Rows
from grpc_server.rows.outputs import Source
from grpc_server.rows.targets import ClassType

Classes: TypeAlias = Sequence[tuple[str, ...]]
"""The class names of each target, in the order of the model's output; a target that is a number has an empty tuple."""


class Runtime(Protocol):
    """A loaded model. Its methods and sources run on one thread at a time."""

    columns: tuple[str, ...] | None
    """Names of the training columns in training order; None if the model does not know them."""
    width: int
    """Number of columns of a row; 0 for an estimator that does not know it."""
    classes: tuple[str, ...] | None
    """Class names in the order of the output; None if the model does not know them. Empty for a model that is no classifier, or has
    several targets."""
    targets: tuple[tuple[str, ...], ...]
    """The class names of each target of a classifier of several targets; empty for every other model."""

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes) -> tuple[Source, ...]:
        """The ways to compute outputs of rows whose columns have the types `dtypes`, cheapest first.

        `sample` is at least one row of these types, for trying the model. `classes` names the classes of a model that does not know
        them. Raises ModelUnloadable if the model cannot take such rows.
        """


def class_types_of(runtime: Runtime, targets: int) -> Sequence[ClassType]:
    """The type of the classes of each of so many targets, from the optional member `class_types` of a runtime."""
    known: Sequence[ClassType] = getattr(runtime, "class_types", ())
    unknown: ClassType = ""
    return known if len(known) == targets else (unknown,) * targets


def estimator_of(runtime: Runtime) -> Any | None:
    """The fitted estimator of a scikit-learn runtime; None for every other runtime. Imports nothing of scikit-learn."""
    return getattr(runtime, "estimator", None)


def of_columns(runtime: Runtime, names: Sequence[str]) -> Runtime:
    """The runtime itself, or one with these columns for an estimator that does not know how many it takes."""
    name_columns = None if runtime.width else getattr(runtime, "of_columns", None)
    return name_columns(names) if name_columns else runtime


def target_names(runtime: Runtime) -> tuple[str, ...]:
    """The names of several targets, for an estimator that knows them, such as its quantiles."""
    return getattr(runtime, "target_names", ())
