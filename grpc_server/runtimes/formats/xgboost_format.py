"""XGBoost's own files, UBJSON or JSON, run by XGBoost (https://xgboost.readthedocs.io) through its C interface.

A row takes a third of the time that it takes through the Python package. The numbers are the same in every bit.
"""

import ctypes
import json
import re
import weakref
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.formats import boosted_outputs, native_library
from grpc_server.runtimes.formats.boosted_outputs import Kind

CLASSES = "foretell.classes"
"""An attribute of the booster that may name its classes, a JSON list of strings in the order of its output."""

_KINDS: tuple[tuple[str, Kind], ...] = (
    ("binary:logistic", "probability"),
    ("multi:soft", "probability"),
    ("reg:", "value"),
    ("count:", "value"),
    ("survival:", "value"),
    ("rank:", "score"),
)
"""What objectives that begin so are trained for."""

_NORMAL, _MARGIN = 0, 1
"""Kinds of prediction (xgboost/c_api.h): what the objective makes of the sum over the trees, and the sum itself."""

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
"""The arguments of what is called (xgboost/c_api.h); whatever is written to is passed by reference."""

_ABOUT_CODE = re.compile(r"^\[[\d:]+\] \S+: |\s*Stack trace:.*", re.DOTALL)


class XgboostRuntime:
    """A booster of trees. What is missing in a row is NaN."""

    def __init__(self, artifact: bytes) -> None:
        """Raises ModelUnloadable for what is no booster, or one of another kind."""
        self._library = _library()
        self._booster, self._proxy = _HANDLE(), _HANDLE()
        self._call("XGBoosterCreate", None, 0, ctypes.byref(self._booster))
        weakref.finalize(self, self._library.XGBoosterFree, self._booster)
        self._call("XGBoosterLoadModelFromBuffer", self._booster, artifact, len(artifact))
        self._call("XGBoosterSetParam", self._booster, b"nthread", str(native_library.threads()).encode())
        self._call("XGProxyDMatrixCreate", ctypes.byref(self._proxy))  # Else one is made for each run, which takes longer than it.
        weakref.finalize(self, self._library.XGDMatrixFree, self._proxy)
        count = _COUNT()
        self._call("XGBoosterGetNumFeature", self._booster, ctypes.byref(count))
        self.width = count.value
        self.columns = tuple(self._texts("feature_name")) or None
        self._refuse_categories()
        learner = self._learner()
        if learner["learner_train_param"]["booster"] == "gblinear":
            raise ModelUnloadable(
                "the xgboost booster gblinear has no trees", "train with gbtree or dart, or add the estimator as joblib"
            )
        objective = str(learner["objective"]["name"])
        self._kind = _kind(objective)
        self._several = int(learner["learner_model_param"]["num_target"])
        self._softmax = objective == "multi:softmax"  # It answers with the label alone.
        self._how = self._config(_MARGIN if self._softmax else _NORMAL)
        self._shape, self._dimensions = ctypes.POINTER(_COUNT)(), _COUNT()
        self._result = ctypes.POINTER(ctypes.c_float)()
        classes, self.targets = boosted_outputs.classes_of(self._kind, self._several)
        self.classes = self._classes() if classes is None else classes

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Sequence[tuple[str, ...]] = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        native_library.check_plain("XGBoost", [dtype.name for dtype in dtypes])
        width = self._run(np.zeros((1, self.width))).shape[1]
        return boosted_outputs.sources(self._kind, self._softened if self._softmax else self._run, width, self._several)

    def _run(self, rows: Matrix) -> NDArray[np.float32]:
        """Shape (rows, numbers)."""
        rows = np.ascontiguousarray(rows, np.float64)
        count, columns = rows.shape
        native_library.check_width(columns, self.width)
        array = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"<f8","version":3}' % (rows.ctypes.data, count, columns)
        shape, dimensions, result = self._shape, self._dimensions, self._result
        answers = ctypes.byref(shape), ctypes.byref(dimensions), ctypes.byref(result)
        self._call("XGBoosterPredictFromDense", self._booster, array, self._how, self._proxy, *answers)
        found: NDArray[np.float32] = np.ctypeslib.as_array(result, shape[: dimensions.value]).copy()  # It is the library's.
        return found

    def _softened(self, rows: Matrix) -> NDArray[np.float32]:
        margins = self._run(rows)
        powers = np.exp(margins - margins.max(1, keepdims=True))
        softened: NDArray[np.float32] = powers / powers.sum(1, keepdims=True)
        return softened

    def _config(self, kind: int) -> bytes:
        """How to predict: with the trees up to the best iteration, where training stopped early, as XGBoost's own estimators do."""
        best = self._attribute("best_iteration")
        end = int(best) + 1 if best.isdecimal() else 0
        return (
            b'{"type":%d,"training":false,"iteration_begin":0,"iteration_end":%d,"strict_shape":true,"missing":NaN,"cache_id":0}'
            % (kind, end)
        )

    def _learner(self) -> Any:
        length, text = _COUNT(), _TEXT()
        self._call("XGBoosterSaveJsonConfig", self._booster, ctypes.byref(length), ctypes.byref(text))
        return json.loads(text.value or b"")["learner"]

    def _attribute(self, name: str) -> str:
        text, there = _TEXT(), ctypes.c_int()
        self._call("XGBoosterGetAttr", self._booster, name.encode(), ctypes.byref(text), ctypes.byref(there))
        return (text.value or b"").decode() if there.value else ""

    def _texts(self, what: str) -> list[str]:
        length, texts = _COUNT(), ctypes.POINTER(_TEXT)()
        self._call("XGBoosterGetStrFeatureInfo", self._booster, what.encode(), ctypes.byref(length), ctypes.byref(texts))
        return [(text or b"").decode() for text in texts[: length.value]]

    def _classes(self) -> tuple[str, ...] | None:
        told = self._attribute(CLASSES)
        if not told:
            return None
        try:
            names = json.loads(told)
        except ValueError:
            names = None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ModelUnloadable(
                f"the xgboost attribute {CLASSES} is no JSON list of names: {told[:80]!r}", 'write one, such as ["no", "yes"]'
            )
        return tuple(names)

    def _refuse_categories(self) -> None:
        for place, kind in enumerate(self._texts("feature_type")):
            if kind == "c":
                name = self.columns[place] if self.columns else place
                raise ModelUnloadable(
                    f"the column {name!r} holds categories, whose codes an xgboost file leaves to its caller",
                    "encode them in training, or add the estimator as joblib",
                )

    def _call(self, function: str, *arguments: object) -> None:
        if getattr(self._library, function)(*arguments):
            said = _ABOUT_CODE.sub("", self._library.XGBGetLastError().decode("utf-8", "replace"))
            raise ModelUnloadable(f"xgboost: {' '.join(said.split())[:200]}")


def load(artifact: bytes) -> XgboostRuntime:
    """The booster in a file. Raises ModelUnloadable."""
    if not artifact:  # The library would end the process.
        raise ModelUnloadable("the xgboost artifact is empty", "save the booster again")
    return XgboostRuntime(artifact)


def _kind(objective: str) -> Kind:
    for begin, kind in _KINDS:
        if objective.startswith(begin):
            return kind
    known = ", ".join(begin + "*" * begin.endswith((":", "soft")) for begin, _ in _KINDS)
    raise ModelUnloadable(f"the xgboost objective {objective} is none of {known}", "train with one of them")


@cache
def _library() -> ctypes.CDLL:
    return native_library.library("xgboost", "XGBGetLastError", _SIGNATURES)
