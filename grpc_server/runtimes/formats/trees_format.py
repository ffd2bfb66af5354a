"""Ensembles of trees, run by treelite (https://treelite.readthedocs.io): nothing of scikit-learn is imported to serve them.

The library is called through its C interface, because the Python package around it imports scipy, and doubles the time of one row.
"""

import ctypes
import weakref
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source, per_target, several_probabilities
from grpc_server.runtimes.formats import native_library
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
"""The arguments of what is called (treelite/c_api.h); whatever is written to is passed by reference."""

_REGRESSOR, _CLASSIFIERS = 1, (0, 2)
"""Kinds of task (treelite/enum/task_type.h): a regressor, a classifier of two classes, and one of several."""


_ROUNDED = 1e-3
"""How far from 1 the probabilities of a row may add up to: float32 rounds."""


class _Field(ctypes.Structure):
    """An array in the head of a model."""

    _fields_ = (("buf", ctypes.c_void_p), ("format", ctypes.c_char_p), ("itemsize", ctypes.c_size_t), ("nitem", ctypes.c_size_t))


class TreesRuntime:
    """An ensemble that compares and adds in its own type of number: float64 as scikit-learn does, or float32 as XGBoost does."""

    columns: tuple[str, ...] | None = None
    targets: tuple[tuple[str, ...], ...] = ()

    def __init__(self, artifact: bytes) -> None:
        """Raises ModelUnloadable when treelite cannot read the bytes."""
        self._library = _library()
        self._model, self._config = _HANDLE(), _HANDLE()
        self._call("TreeliteDeserializeModelFromBytes", artifact, len(artifact), ctypes.byref(self._model))
        weakref.finalize(self, self._library.TreeliteFreeModel, self._model)
        self._call("TreeliteGTILParseConfig", _CONFIG, ctypes.byref(self._config))
        weakref.finalize(self, self._library.TreeliteGTILDeleteConfig, self._config)
        number = ctypes.c_char_p()
        self._call("TreeliteGetInputType", self._model, ctypes.byref(number))
        self._number = number.value or b""
        width = ctypes.c_int()
        self._call("TreeliteQueryNumFeature", self._model, ctypes.byref(width))
        self.width = width.value
        self._counts = self._field("num_class", ctypes.c_int32)
        (task,) = self._field("task_type", ctypes.c_uint8)
        if task not in (_REGRESSOR, *_CLASSIFIERS):
            raise ModelUnloadable("the trees are neither a classifier nor a regressor", "train one of these")
        self.classes: tuple[str, ...] | None = () if task == _REGRESSOR else None
        if task != _REGRESSOR:
            self._check_probabilities()

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime. The label of a classifier is its likeliest class."""
        targets = len(self._counts)
        if self.classes == ():
            return (Source(per_target("value", targets), self._values),)
        of_all = several_probabilities([max(count, 2) for count in self._counts])
        labels = per_target("label", targets)
        return (
            Source(of_all, lambda rows: np.hstack(self._probabilities(rows))),
            Source(labels, lambda rows: _likeliest(self._probabilities(rows))),
            Source(labels + of_all, lambda rows: _with_likeliest(self._probabilities(rows))),
        )

    def _values(self, rows: Matrix) -> Matrix:
        return self._run(rows)[:, :, 0]

    def _probabilities(self, rows: Matrix) -> list[Matrix]:
        """Of the classes of each target, shape (n, classes)."""
        answers = self._run(rows)
        found = (answers[:, target, :count] for target, count in enumerate(self._counts))
        return [each if each.shape[1] > 1 else np.hstack((1 - each, each)) for each in found]

    def _run(self, rows: Matrix) -> NDArray[np.float64]:
        """Shape (n, targets, classes), of as many classes as any target has."""
        rows = np.ascontiguousarray(rows, self._number.decode())
        if rows.shape[1] != self.width:  # The library would read on behind the rows.
            raise ValueError(f"rows of {rows.shape[1]} columns for trees of {self.width}")
        outputs = np.zeros((len(rows), len(self._counts), max(self._counts)), rows.dtype)
        facts = self._number, len(rows), outputs.ctypes.data, self._config
        self._call("TreeliteGTILPredict", self._model, rows.ctypes.data, *facts)
        return outputs.astype(np.float64, copy=False)

    def _check_probabilities(self) -> None:
        """Raises ModelUnloadable where the trees give something else of a row, such as margins."""
        for each in self._probabilities(np.zeros((1, self.width))):
            if not (np.all((each >= 0) & (each <= 1)) and abs(each.sum() - 1) < _ROUNDED):
                raise ModelUnloadable(
                    f"the trees answer {each[0].tolist()} for classes: these are no probabilities",
                    "train it with an objective that gives them",
                )

    def _field(self, name: str, number: type[ctypes.c_int32 | ctypes.c_uint8]) -> list[int]:
        field = _Field()
        self._call("TreeliteGetHeaderField", self._model, name.encode(), ctypes.byref(field))
        return list(ctypes.cast(field.buf, ctypes.POINTER(number))[: field.nitem])

    def _call(self, function: str, *arguments: object) -> None:
        if getattr(self._library, function)(*arguments):
            raise ModelUnloadable(f"treelite: {self._library.TreeliteGetLastError().decode('utf-8', 'replace')[:200]}")


def _likeliest(probabilities: list[Matrix]) -> Matrix:
    return np.column_stack([each.argmax(1) for each in probabilities]).astype(np.float64)


def _with_likeliest(probabilities: list[Matrix]) -> Matrix:
    return np.hstack((_likeliest(probabilities), *probabilities))


def load(artifact: bytes) -> TreesRuntime:
    """The ensemble that treelite serialised. Raises ModelUnloadable."""
    return TreesRuntime(artifact)


def _library() -> ctypes.CDLL:
    return native_library.library("treelite", "TreeliteGetLastError", _SIGNATURES)
