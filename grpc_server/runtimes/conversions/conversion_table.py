"""The formats to which a fitted estimator can be converted; each converter is imported at its first use."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from grpc_server.runtimes.formats.format_table import needing
from grpc_server.runtimes.runtime import Classes

CONVERSIONS = ("onnx", "trees")
"""Each needs the extra of its name, and has a module in this package with the function `convert` of one format."""


def convert(format_name: str, estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
    """Artifacts of the format to try in order: they may answer differently.

    Raises ModelUnloadable for an estimator that has no conversion, and if the format's extra is not installed.
    """
    with needing(format_name, f"foretell[{format_name}]"):
        module = import_module(f"grpc_server.runtimes.conversions.{format_name}_conversion")
    artifacts: Iterator[bytes] = module.convert(estimator, columns, classes)
    return artifacts
