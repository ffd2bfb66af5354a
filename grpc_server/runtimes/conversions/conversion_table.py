"""The formats to which a fitted estimator can be converted; each converter is imported at its first use."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

from grpc_server.runtimes.formats.format_table import needing
from grpc_server.runtimes.runtime import Classes


class Converter(Protocol):
    """The module of one format in this package."""

    def convert(self, estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
        """Artifacts of the format to try in order: they may answer differently. Raises ModelUnloadable for another estimator."""


CONVERSIONS = {
    "onnx": "grpc_server.runtimes.conversions.onnx_conversion",
    "trees": "grpc_server.runtimes.conversions.trees_conversion",
}
"""Modules by format. Each needs the extra of its name."""


def convert(format_name: str, estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
    """See Converter. Also raises ModelUnloadable if the format's extra is not installed."""
    with needing(format_name, f"foretell[{format_name}]"):
        module: Converter = import_module(CONVERSIONS[format_name])
    return module.convert(estimator, columns, classes)
