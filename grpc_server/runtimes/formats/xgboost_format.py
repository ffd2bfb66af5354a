"""XGBoost's files, UBJSON or JSON, run by XGBoost (https://xgboost.readthedocs.io) through its C interface, xgboost/c_api.h.

A row takes a third of its time in the Python package. The numbers are the same in every bit.
"""

import ctypes
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.formats.native_library import NativeLibrary, check_numbers, check_width, threads
from grpc_server.runtimes.formats.tree_outputs import Kind, boosted_sources, classes_of
from grpc_server.runtimes.runtime import Classes
from grpc_server.runtimes.sklearn.boosted_wrapper import quantile_names, quantile_outputs

CLASSES = "foretell.classes"
"""Attribute of a booster that may name its classes: a JSON list of strings in the order of its output."""

_KINDS: tuple[tuple[str, Kind], ...] = (
    ("binary:logistic", "probability"),
    ("multi:soft", "probability"),
    ("reg:", "value"),
    ("count:", "value"),
    ("survival:", "value"),
    ("rank:", "score"),
)
"""The meaning of a number by the beginning of the training objective."""

_NORMAL, _MARGIN = 0, 1
"""Types of prediction in c_api.h: the objective's function of the sum over the trees, and the sum itself."""

_HANDLE, _COUNT, _TEXT = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p
_SIGNATURES = {
    "XGBoosterCreate": (_HANDLE, _COUNT, _HANDLE),
    "XGBoosterFree": (_HANDLE,),
    "XGBoosterLoadModelFromBuffer": (_HANDLE, _TEXT, _COUNT),
    "XGBoosterSetParam": (_HANDLE, _TEXT, _TEXT),
    "XGBoosterSaveJsonConfig": (_HANDLE, _HANDLE, _HANDLE),
    "XGBoosterGetNumFeature": (_HANDLE, _HANDLE),
    "XGBoosterGetStrFeatureInfo": (_HANDLE, _TEXT, _HANDLE, _HANDLE),
    "XGBoosterGetAttr": (_HANDLE, _TEXT, _HANDLE, _HANDLE),
    "XGBoosterPredictFromDense": (_HANDLE, _TEXT, _TEXT, _HANDLE, _HANDLE, _HANDLE, _HANDLE),
    "XGProxyDMatrixCreate": (_HANDLE,),
    "XGDMatrixFree": (_HANDLE,),
}


class XgboostRuntime:
    """A booster of trees. NaN stands for a missing value. One thread at a time."""

    def __init__(self, artifact: bytes) -> None:
        """Raises ModelUnloadable for bytes that hold no booster, or a booster that cannot be served."""
        if not artifact:  # The library ends the process for an empty buffer.
            raise ModelUnloadable("the xgboost artifact is empty", "save the booster again")
        self._library = NativeLibrary("xgboost", "XGBGetLastError", _SIGNATURES)
        self._booster = self._library.create(self, "XGBoosterCreate", "XGBoosterFree", None, 0)
        self._library.call("XGBoosterLoadModelFromBuffer", self._booster, artifact, len(artifact))
        self._library.call("XGBoosterSetParam", self._booster, b"nthread", str(threads()).encode())
        # Without a proxy, each prediction makes one, which takes longer than the prediction.
        self._proxy = self._library.create(self, "XGProxyDMatrixCreate", "XGDMatrixFree")
        self.width: int = self._library.value(_COUNT, "XGBoosterGetNumFeature", self._booster)
        self.columns = tuple(self._texts("feature_name")) or None
        self._refuse_categories()
        learner = self._learner()
        objective = str(learner["objective"]["name"])
        self._kind = _kind(objective)
        self._targets = int(learner["learner_model_param"]["num_target"])
        self._quantiles = _quantiles(learner["objective"])
        self.target_names = quantile_names(self._quantiles)
        self._gives_labels = objective == "multi:softmax"
        self._options = self._prediction_options(_MARGIN if self._gives_labels else _NORMAL)
        self._shape, self._dimensions = ctypes.POINTER(_COUNT)(), _COUNT()
        self._result = ctypes.POINTER(ctypes.c_float)()
        classes, self.targets = classes_of(self._kind, self._targets)
        self.classes = self._class_names() if classes is None else classes

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        check_numbers("XGBoost", dtypes)
        width = self._predict(np.zeros((1, self.width))).shape[1]
        run = self._probabilities_of_margins if self._gives_labels else self._predict
        if self._quantiles:
            return (Source(quantile_outputs(self._quantiles), lambda rows: run(rows).astype(np.float64)),)
        return boosted_sources(self._kind, run, width, self._targets)

    def _predict(self, rows: Matrix) -> NDArray[np.float32]:
        """Shape (rows, numbers)."""
        rows = np.ascontiguousarray(rows, np.float64)
        count, columns = rows.shape
        check_width(columns, self.width)
        array = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"<f8","version":3}' % (rows.ctypes.data, count, columns)
        shape, dimensions, result = self._shape, self._dimensions, self._result
        written = ctypes.byref(shape), ctypes.byref(dimensions), ctypes.byref(result)
        self._library.call("XGBoosterPredictFromDense", self._booster, array, self._options, self._proxy, *written)
        # The library owns the memory and writes its next answers there.
        found: NDArray[np.float32] = np.ctypeslib.as_array(result, shape[: dimensions.value]).copy()
        return found

    def _probabilities_of_margins(self, rows: Matrix) -> NDArray[np.float32]:
        """The softmax of the margins: the objective `multi:softmax` itself gives the label alone."""
        margins = self._predict(rows)
        powers = np.exp(margins - margins.max(1, keepdims=True))
        probabilities: NDArray[np.float32] = powers / powers.sum(1, keepdims=True)
        return probabilities

    def _prediction_options(self, kind: int) -> bytes:
        """Predict with the trees up to the best iteration of early stopping, as XGBoost's own estimators do."""
        best = self._attribute("best_iteration")
        end = int(best) + 1 if best.isdecimal() else 0
        return (
            b'{"type":%d,"training":false,"iteration_begin":0,"iteration_end":%d,"strict_shape":true,"missing":NaN,"cache_id":0}'
            % (kind, end)
        )

    def _learner(self) -> Any:
        length, text = _COUNT(), _TEXT()
        self._library.call("XGBoosterSaveJsonConfig", self._booster, ctypes.byref(length), ctypes.byref(text))
        learner = json.loads(text.value or b"")["learner"]
        if learner["learner_train_param"]["booster"] == "gblinear":
            fix = "train with gbtree or dart, or add the estimator as joblib"
            raise ModelUnloadable("the xgboost booster gblinear has no trees", fix)
        return learner

    def _attribute(self, name: str) -> str:
        text, found = _TEXT(), ctypes.c_int()
        self._library.call("XGBoosterGetAttr", self._booster, name.encode(), ctypes.byref(text), ctypes.byref(found))
        return (text.value or b"").decode() if found.value else ""

    def _texts(self, field: str) -> list[str]:
        """One text for each column: its `feature_name` or `feature_type`."""
        length, texts = _COUNT(), ctypes.POINTER(_TEXT)()
        self._library.call("XGBoosterGetStrFeatureInfo", self._booster, field.encode(), ctypes.byref(length), ctypes.byref(texts))
        return [(text or b"").decode() for text in texts[: length.value]]

    def _class_names(self) -> tuple[str, ...] | None:
        stated = self._attribute(CLASSES)
        if not stated:
            return None
        try:
            names = json.loads(stated)
        except ValueError:
            names = None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            reason = f"the xgboost attribute {CLASSES} is no JSON list of names: {stated[:80]!r}"
            raise ModelUnloadable(reason, 'write one, such as ["no", "yes"]')
        return tuple(names)

    def _refuse_categories(self) -> None:
        for index, kind in enumerate(self._texts("feature_type")):
            if kind == "c":
                name = self.columns[index] if self.columns else index
                reason = f"the column {name!r} holds categories, whose codes an xgboost file leaves to its caller"
                raise ModelUnloadable(reason, "encode them in training, or add the estimator as joblib")


def _quantiles(objective: Any) -> tuple[float, ...]:
    """The quantiles that the objective is about, if they are several."""
    found = json.loads(objective.get("quantile_loss_param", {}).get("quantile_alpha", "[]"))
    return tuple(found) if isinstance(found, list) and len(found) > 1 else ()


def _kind(objective: str) -> Kind:
    for begin, kind in _KINDS:
        if objective.startswith(begin):
            return kind
    known = ", ".join(begin + "*" * begin.endswith((":", "soft")) for begin, _ in _KINDS)
    raise ModelUnloadable(f"the xgboost objective {objective} is none of {known}", "train with one of them")
