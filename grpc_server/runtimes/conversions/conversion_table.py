"""The formats to which a fitted estimator can be converted; each converter is imported at its first use."""

import pickle
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from grpc_server.runtimes.formats.format_table import needing
from grpc_server.runtimes.runtime import Classes

CONVERSIONS = {"onnx": ("skl2onnx", "onnxruntime"), "trees": ("treelite",)}
"""Formats with the modules that they need: the extra of their name. Each has a module in this package with a function `convert`."""

_TREES = re.compile(r"sklearn\.ensemble\..*\.(HistGradientBoosting|GradientBoosting|RandomForest|ExtraTrees)(Classifier|Regressor)")
_ONNX = re.compile(r"sklearn\.(?!cluster|compose|dummy|feature|isotonic|kernel_ridge|semi_supervised|.*HistGradientBoosting)")


def convert(format_name: str, estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
    """Artifacts of the format to try in order: they may answer differently.

    Raises ModelUnloadable for an estimator that has no conversion, and if the format's extra is not installed.
    """
    with needing(format_name, f"foretell[{format_name}]"):
        module = import_module(f"grpc_server.runtimes.conversions.{format_name}_conversion")
    artifacts: Iterator[bytes] = module.convert(estimator, columns, classes)
    return artifacts


def likely_conversions(estimator: Any) -> list[str]:
    """The formats to which estimators of this class can mostly be converted. Imports no converter.

    skl2onnx is left out for large forests: 10 MB take it more than two seconds a graph.
    """
    steps = [f"{type(step).__module__}.{type(step).__name__}" for _, step in getattr(estimator, "steps", [("", estimator)])]
    stored = pickle.dumps(estimator)
    onnx = all(map(_ONNX.match, steps)) and (len(stored) < 10_000_000 or b"sklearn.tree._tree" not in stored)
    return ["onnx"] * onnx + ["trees"] * (len(steps) == 1 and bool(_TREES.fullmatch(steps[0])))
