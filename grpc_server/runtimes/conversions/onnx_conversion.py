"""From a scikit-learn classifier or regressor to ONNX, by skl2onnx (https://onnx.ai/sklearn-onnx)."""

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

from grpc_server.errors import ModelUnloadable
from grpc_server.runtimes.formats.onnx_format import CLASSES, COLUMNS, TARGETS
from grpc_server.runtimes.runtime import Classes


def conversions(estimator: Any, columns: tuple[str, ...], classes: Classes) -> Iterator[bytes]:
    """Graphs for one estimator, the simplest first; which of them answers as it does is for the caller to find out.

    Trees compare in float32, whatever comes in, and linear models on columns of different sizes need float64, so that no one
    type suits every model. Raises ModelUnloadable for one that skl2onnx cannot convert.
    """
    *before, last = estimator.steps if isinstance(estimator, Pipeline) else [("model", estimator)]
    to_float, to_double = (("to_float", CastTransformer(dtype=np.float32)), ("to_double", CastTransformer(dtype=np.float64)))
    for model, number in (
        (estimator, FloatTensorType),
        (estimator, DoubleTensorType),
        (Pipeline([*before, to_float, last]), DoubleTensorType),
        (Pipeline([*before, to_float, to_double, last]), DoubleTensorType),  # Votes add up exactly: ties stay ties.
    ):
        try:
            graph = _convert(model, number([None, len(columns)]))
        except Exception as error:  # skl2onnx raises whatever it stumbles over.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
            raise ModelUnloadable(f"skl2onnx cannot convert {type(estimator).__name__} ({reason})") from error
        told = {CLASSES: classes[0]} if len(classes) == 1 or not classes[0] else {TARGETS: classes}
        onnx.helper.set_model_props(graph, {entry: json.dumps(names) for entry, names in ({COLUMNS: columns} | told).items()})
        yield graph.SerializeToString()


def _convert(model: Any, rows: Any) -> Any:
    convert = partial(skl2onnx.convert_sklearn, model, initial_types=[("rows", rows)])
    try:
        return convert(options={"zipmap": False})
    except NameError:  # What gives no probabilities takes no such option.
        return convert()
