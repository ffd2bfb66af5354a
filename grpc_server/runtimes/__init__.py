"""One runtime a model format, loaded only when chosen."""

from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from grpc_server.errors import ModelUnloadable

Matrix = NDArray[np.float64]


class Runtime(Protocol):
    """A loaded model."""

    columns: tuple[str, ...] | None
    """Names of the training columns in training order; None when the model does not know them."""
    width: int
    """How many columns a row has."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the output."""

    def predict(self, rows: Matrix) -> Matrix:
        """Probabilities, shape (n, classes), for rows of shape (n, width). Called from one thread at a time."""


class Format(Protocol):
    """A module of this package."""

    def load(self, artifact: bytes) -> Runtime:
        """The model that the bytes hold. Raises ModelUnloadable."""


RUNTIMES = {
    "skops": "grpc_server.runtimes.skops_format",
    "joblib": "grpc_server.runtimes.joblib_format",
}


def load(format_name: str, artifact: bytes) -> Runtime:
    """Load an artifact of a known format. Raises ModelUnloadable.

    The caller has verified the bytes: a joblib artifact runs code while it is loaded.
    """
    if format_name not in RUNTIMES:
        raise ModelUnloadable(f"the format {format_name!r} is none of {', '.join(sorted(RUNTIMES))}")
    module: Format = import_module(RUNTIMES[format_name])
    return module.load(artifact)
