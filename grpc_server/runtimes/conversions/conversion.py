"""The conversions of a fitted estimator to faster formats, each imported only when it is asked for."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

from grpc_server.runtimes.formats.format_table import needing
from grpc_server.runtimes.runtime import Classes


class Conversion(Protocol):
    """A module of this package that converts."""

    def conversions(self, estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
        """Artifacts for one fitted estimator, to be tried in turn. Raises ModelUnloadable where it cannot be converted."""


CONVERSIONS = {
    "onnx": "grpc_server.runtimes.conversions.onnx_conversion",
    "trees": "grpc_server.runtimes.conversions.trees_conversion",
}
"""Formats to which a scikit-learn classifier or regressor can be converted. Each needs the extra of its name."""


def conversions(format_name: str, estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
    """See Conversion. Raises ModelUnloadable where the extra for the format is not installed, too."""
    with needing(format_name, f"foretell[{format_name}]"):
        module: Conversion = import_module(CONVERSIONS[format_name])
    return module.conversions(estimator, columns, classes)
