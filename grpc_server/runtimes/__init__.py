"""One runtime a model format, loaded only when chosen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

from grpc_server.errors import ModelUnloadable
from grpc_server.outputs import Source
from grpc_server.table import Dtype, Matrix, Rows

__all__ = ["CONVERSIONS", "RUNTIMES", "Conversion", "Format", "Matrix", "Runtime", "conversions", "load"]


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

    def sources(self, dtypes: Sequence[Dtype], sample: Rows) -> tuple[Source, ...]:
        """What the model can say of rows whose columns have these types, cheapest first.

        `sample` is rows to find out on. The sources are called from one thread at a time. Raises ModelUnloadable where the model
        cannot take such rows.
        """


class Format(Protocol):
    """A module of this package that loads."""

    def load(self, artifact: bytes) -> Runtime:
        """The model that the bytes hold. Raises ModelUnloadable."""


class Conversion(Protocol):
    """A module of this package that converts."""

    def conversions(self, estimator: Any, columns: tuple[str, ...], classes: tuple[str, ...]) -> Iterator[bytes]:
        """Artifacts for one fitted classifier, to be tried in turn. Raises ModelUnloadable where it cannot be converted."""


RUNTIMES = {
    "skops": "grpc_server.runtimes.skops_format",
    "joblib": "grpc_server.runtimes.joblib_format",
    "onnx": "grpc_server.runtimes.onnx_format",
    "trees": "grpc_server.runtimes.trees_format",
}

CONVERSIONS = {
    "onnx": "grpc_server.runtimes.onnx_conversion",
    "trees": "grpc_server.runtimes.trees_conversion",
}
"""Formats to which a scikit-learn classifier can be converted. Each needs the extra of its name."""


def load(format_name: str, artifact: bytes) -> Runtime:
    """Load an artifact of a known format. Raises ModelUnloadable.

    The caller has verified the bytes: a joblib artifact runs code while it is loaded.
    """
    if format_name not in RUNTIMES:
        raise ModelUnloadable(f"the format {format_name!r} is none of {', '.join(sorted(RUNTIMES))}")
    with _needing(format_name):
        module: Format = import_module(RUNTIMES[format_name])
        return module.load(artifact)


def conversions(format_name: str, estimator: Any, columns: tuple[str, ...], classes: tuple[str, ...]) -> Iterator[bytes]:
    """See Conversion. Raises ModelUnloadable where the extra for the format is not installed, too."""
    with _needing(format_name):
        module: Conversion = import_module(CONVERSIONS[format_name])
    return module.conversions(estimator, columns, classes)


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as missing:
        raise ModelUnloadable(f"{extra} needs {missing.name}, which is not installed: pip install 'foretell[{extra}]'") from None
