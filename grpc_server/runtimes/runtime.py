"""What a loaded model is to the server."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from grpc_server.rows.mixed_rows import Dtype, Rows
from grpc_server.rows.outputs import Source

Classes: TypeAlias = Sequence[tuple[str, ...]]
"""The names of the classes of each target, in the order of the model's own output; empty where it predicts a number."""


class Runtime(Protocol):
    """A loaded model."""

    columns: tuple[str, ...] | None
    """Names of the training columns in training order; None when the model does not know them."""
    width: int
    """How many columns a row has."""
    classes: tuple[str, ...] | None
    """Names of the classes, in the order of the output; empty for a model that tells none apart or has several targets, None when
    it does not know them."""
    targets: tuple[tuple[str, ...], ...]
    """The classes of each target, for a classifier of several; empty for all else."""

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes) -> tuple[Source, ...]:
        """What the model can say of rows whose columns have these types, cheapest first.

        `sample` is rows to find out on, `classes` what its labels are where it does not know them itself. The sources are called
        from one thread at a time. Raises ModelUnloadable where the model cannot take such rows.
        """
