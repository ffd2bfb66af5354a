"""Converts a scikit-learn classifier or regressor to ONNX with skl2onnx (https://onnx.ai/sklearn-onnx)."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import onnx
import skl2onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from skl2onnx.sklapi import CastTransformer
from sklearn.pipeline import Pipeline

from grpc_server.errors import ModelUnloadable, exception_text
from grpc_server.runtimes.formats.onnx_format import CLASSES, COLUMNS, TARGETS
from grpc_server.runtimes.runtime import Classes


def convert(estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
    """Graphs of an estimator that differ in their number types, simplest first; the caller compares their answers.

    No type suits every model: scikit-learn's trees compare in float32 whatever the input is, and linear models on columns of
    different magnitude need float64. Raises ModelUnloadable for an estimator that skl2onnx cannot convert.
    """
    for model, input_type in _typed_models(estimator):
        try:
            graph = _graph(model, input_type([None, len(columns)]))
        except Exception as error:  # skl2onnx documents no exceptions.
            raise ModelUnloadable(f"skl2onnx cannot convert {type(estimator).__name__} ({exception_text(error)})") from error
        onnx.helper.set_model_props(graph, _metadata(columns, classes))
        yield graph.SerializeToString()


def _typed_models(estimator: Any) -> Iterator[tuple[Any, Any]]:
    """The estimator with casts before its last step, and the type of its input."""
    *before, last = estimator.steps if isinstance(estimator, Pipeline) else [("model", estimator)]
    to_float, to_double = (("to_float", CastTransformer(dtype=np.float32)), ("to_double", CastTransformer(dtype=np.float64)))
    yield estimator, FloatTensorType
    yield estimator, DoubleTensorType
    yield Pipeline([*before, to_float, last]), DoubleTensorType
    yield Pipeline([*before, to_float, to_double, last]), DoubleTensorType  # Votes add up exactly, so ties stay ties.


def _graph(model: Any, rows: Any) -> Any:
    convert = partial(skl2onnx.convert_sklearn, model, initial_types=[("rows", rows)])
    try:
        return convert(options={"zipmap": False})
    except NameError:  # A model without probabilities has no option `zipmap`.
        return convert()


def _metadata(columns: tuple[str, ...], classes: Classes) -> dict[str, str]:
    of_one_target = len(classes) == 1 or not classes[0]
    names = {COLUMNS: columns} | ({CLASSES: classes[0]} if of_one_target else {TARGETS: classes})
    return {entry: json.dumps(value) for entry, value in names.items()}
