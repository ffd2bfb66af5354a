"""One runtime a model format, loaded only when chosen. What a format of one's own is made of can be imported from here."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

from grpc_server.errors import ModelUnloadable
from grpc_server.outputs import Output, Source
from grpc_server.runtimes.format import Format
from grpc_server.runtimes.registry import format_named, format_of, load, loader_of, needing
from grpc_server.runtimes.runtime import Classes, Runtime
from grpc_server.table import Dtype, Matrix, Rows

__all__ = [
    "CONVERSIONS",
    "Classes",
    "Conversion",
    "Dtype",
    "Format",
    "Matrix",
    "ModelUnloadable",
    "Output",
    "Rows",
    "Runtime",
    "Source",
    "conversions",
    "format_named",
    "format_of",
    "load",
    "loader_of",
]


class Conversion(Protocol):
    """A module of this package that converts."""

    def conversions(self, estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
        """Artifacts for one fitted estimator, to be tried in turn. Raises ModelUnloadable where it cannot be converted."""


CONVERSIONS = {
    "onnx": "grpc_server.runtimes.onnx_conversion",
    "trees": "grpc_server.runtimes.trees_conversion",
}
"""Formats to which a scikit-learn classifier or regressor can be converted. Each needs the extra of its name."""


def conversions(format_name: str, estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
    """See Conversion. Raises ModelUnloadable where the extra for the format is not installed, too."""
    with needing(format_name, f"foretell[{format_name}]"):
        module: Conversion = import_module(CONVERSIONS[format_name])
    return module.conversions(estimator, columns, classes)
