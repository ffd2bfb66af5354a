"""Tree ensembles in treelite checkpoints, run by treelite (https://treelite.readthedocs.io) through its C interface.

Serving them imports nothing of scikit-learn. The Python package would import scipy and double the time of one row.
"""

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source, outputs_per_target
from grpc_server.runtimes.formats.native_library import NativeLibrary, check_width
from grpc_server.runtimes.formats.tree_outputs import both_classes, classifier_sources
from grpc_server.runtimes.runtime import Classes

_HANDLE = ctypes.c_void_p
_CONFIG = b'{"predict_type": "default", "nthread": 1}'
_SIGNATURES = {
    "TreeliteDeserializeModelFromBytes": (ctypes.c_char_p, ctypes.c_size_t, _HANDLE),
    "TreeliteFreeModel": (_HANDLE,),
    "TreeliteGTILParseConfig": (ctypes.c_char_p, _HANDLE),
    "TreeliteGTILDeleteConfig": (_HANDLE,),
    "TreeliteGTILPredict": (_HANDLE, _HANDLE, ctypes.c_char_p, ctypes.c_uint64, _HANDLE, _HANDLE),
    "TreeliteQueryNumFeature": (_HANDLE, _HANDLE),
    "TreeliteGetInputType": (_HANDLE, _HANDLE),
    "TreeliteGetHeaderField": (_HANDLE, ctypes.c_char_p, _HANDLE),
}

_REGRESSOR, _CLASSIFIERS = 1, (0, 2)
"""Task types of treelite/enum/task_type.h: a regressor, a classifier of two classes, and one of several."""

_MAX_ROUNDING = 1e-3
"""Largest difference between 1 and the sum of a row's probabilities: float32 rounds."""


class _HeaderField(ctypes.Structure):
    _fields_ = (("buf", ctypes.c_void_p), ("format", ctypes.c_char_p), ("itemsize", ctypes.c_size_t), ("nitem", ctypes.c_size_t))


class TreesRuntime:
    """An ensemble of trees. It compares and adds in its own number type: float64 from scikit-learn, float32 from XGBoost."""

    columns: tuple[str, ...] | None = None
    targets: tuple[tuple[str, ...], ...] = ()

    def __init__(self, artifact: bytes) -> None:
        """Raises ModelUnloadable for bytes that hold no trees, or trees that are no regressor and give no probabilities."""
        self._library = NativeLibrary("treelite", "TreeliteGetLastError", _SIGNATURES)
        size = len(artifact)
        self._model = self._library.create(self, "TreeliteDeserializeModelFromBytes", "TreeliteFreeModel", artifact, size)
        self._config = self._library.create(self, "TreeliteGTILParseConfig", "TreeliteGTILDeleteConfig", _CONFIG)
        self._dtype: bytes = self._library.value(ctypes.c_char_p, "TreeliteGetInputType", self._model)
        """`float32` or `float64`."""
        self.width: int = self._library.value(ctypes.c_int, "TreeliteQueryNumFeature", self._model)
        self._class_counts = self._header("num_class", ctypes.c_int32)
        (task,) = self._header("task_type", ctypes.c_uint8)
        if task not in (_REGRESSOR, *_CLASSIFIERS):
            raise ModelUnloadable("the trees are neither a classifier nor a regressor", "train one of these")
        self.classes: tuple[str, ...] | None = () if task == _REGRESSOR else None
        if task != _REGRESSOR:
            self._check_probabilities()

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        if self.classes == ():
            return (Source(outputs_per_target("value", len(self._class_counts)), lambda rows: self._predict(rows)[:, :, 0]),)
        return classifier_sources([max(count, 2) for count in self._class_counts], self._probabilities)

    def _probabilities(self, rows: Matrix) -> list[Matrix]:
        """For each target, shape (rows, classes)."""
        answers = self._predict(rows)
        by_target = (answers[:, target, :count] for target, count in enumerate(self._class_counts))
        return [each if each.shape[1] > 1 else both_classes(each) for each in by_target]

    def _predict(self, rows: Matrix) -> NDArray[np.float64]:
        """Shape (rows, targets, classes), with the number of classes of the target that has most."""
        rows = np.ascontiguousarray(rows, self._dtype.decode())
        check_width(rows.shape[1], self.width)
        answers = np.zeros((len(rows), len(self._class_counts), max(self._class_counts)), rows.dtype)
        arguments = rows.ctypes.data, self._dtype, len(rows), answers.ctypes.data, self._config
        self._library.call("TreeliteGTILPredict", self._model, *arguments)
        return answers.astype(np.float64, copy=False)

    def _check_probabilities(self) -> None:
        """Raises ModelUnloadable if the trees give other numbers than probabilities, such as margins."""
        for each in self._probabilities(np.zeros((1, self.width))):
            if not (np.all((each >= 0) & (each <= 1)) and abs(each.sum() - 1) < _MAX_ROUNDING):
                reason = f"the trees answer {each[0].tolist()} for classes: these are no probabilities"
                raise ModelUnloadable(reason, "train it with an objective that gives them")

    def _header(self, name: str, item: type[ctypes.c_int32 | ctypes.c_uint8]) -> list[int]:
        field = _HeaderField()
        self._library.call("TreeliteGetHeaderField", self._model, name.encode(), ctypes.byref(field))
        return list(ctypes.cast(field.buf, ctypes.POINTER(item))[: field.nitem])
