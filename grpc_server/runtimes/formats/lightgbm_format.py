"""LightGBM's own text files, run by LightGBM (https://lightgbm.readthedocs.io) through its C interface.

A row takes a third of the time that it takes through the Python package. The numbers are the same in every bit.
"""

import ctypes
import json
import weakref
from collections.abc import Sequence
from functools import cache

import numpy as np

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.formats import boosted_outputs, native_library
from grpc_server.runtimes.formats.boosted_outputs import Kind

_KINDS: dict[str, Kind] = {
    "binary": "probability",
    "multiclass": "probability",
    "multiclassova": "probability",
    "lambdarank": "score",
    "rank_xendcg": "score",
}
"""What an objective is trained for; all others are for a value."""

_DOUBLE, _ROWS, _NORMAL, _ALL = 1, 1, 0, -1
"""Constants of LightGBM/c_api.h: the type of number, row after row, the prediction that the objective makes, every iteration."""

_NAME_BYTES = 1024
"""Longest name of a column."""

_HANDLE, _INT, _LONG, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
_SIGNATURES = {
    "LGBM_BoosterLoadModelFromString": (_TEXT, _HANDLE, _HANDLE),
    "LGBM_BoosterFree": (_HANDLE,),
    "LGBM_BoosterGetNumFeature": (_HANDLE, _HANDLE),
    "LGBM_BoosterGetNumClasses": (_HANDLE, _HANDLE),
    "LGBM_BoosterGetFeatureNames": (_HANDLE, _INT, _HANDLE, ctypes.c_size_t, _HANDLE, _HANDLE),
    "LGBM_BoosterPredictForMat": (_HANDLE, _HANDLE, _INT, _INT, _INT, _INT, _INT, _INT, _INT, _TEXT, _HANDLE, _HANDLE),
    "LGBM_BoosterPredictForMatSingleRowFastInit": (_HANDLE, _INT, _INT, _INT, _INT, _INT, _TEXT, _HANDLE),
    "LGBM_BoosterPredictForMatSingleRowFast": (_HANDLE, _HANDLE, _HANDLE, _HANDLE),
    "LGBM_FastConfigFree": (_HANDLE,),
}
"""The arguments of what is called (LightGBM/c_api.h); whatever is written to is passed by reference."""


class LightgbmRuntime:
    """A booster. What is missing in a row is NaN."""

    targets: tuple[tuple[str, ...], ...] = ()

    def __init__(self, artifact: bytes) -> None:
        """Raises ModelUnloadable for what is no booster, or one of categories."""
        self._library = _library()
        self._booster, self._fast = _HANDLE(), _HANDLE()
        self._call("LGBM_BoosterLoadModelFromString", artifact, ctypes.byref(_INT()), ctypes.byref(self._booster))
        weakref.finalize(self, self._library.LGBM_BoosterFree, self._booster)
        facts = _facts(artifact)
        _refuse_categories(facts)
        self.width, self._outputs = self._number("LGBM_BoosterGetNumFeature"), self._number("LGBM_BoosterGetNumClasses")
        names = self._names()
        self.columns = None if names == tuple(f"Column_{place}" for place in range(self.width)) else names
        self._kind = _KINDS.get(facts.get("objective", "").partition(" ")[0], "value")
        self.classes, _ = boosted_outputs.classes_of(self._kind, 1)
        self._how = f"num_threads={native_library.threads()} verbosity=-1".encode()
        single = _NORMAL, 0, _ALL, _DOUBLE, self.width, self._how
        self._call("LGBM_BoosterPredictForMatSingleRowFastInit", self._booster, *single, ctypes.byref(self._fast))
        weakref.finalize(self, self._library.LGBM_FastConfigFree, self._fast)
        self._length = _LONG()

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Sequence[tuple[str, ...]] = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        native_library.check_plain("LightGBM", [dtype.name for dtype in dtypes])
        return boosted_outputs.sources(self._kind, self._run, self._outputs, 1)

    def _run(self, rows: Matrix) -> Matrix:
        """Shape (rows, numbers)."""
        rows = np.ascontiguousarray(rows, np.float64)
        count, columns = rows.shape
        native_library.check_width(columns, self.width)
        answers = np.empty((count, self._outputs))
        written = ctypes.byref(self._length), answers.ctypes.data
        if count == 1:
            self._call("LGBM_BoosterPredictForMatSingleRowFast", self._fast, rows.ctypes.data, *written)
        else:
            facts = _DOUBLE, count, columns, _ROWS, _NORMAL, 0, _ALL, self._how
            self._call("LGBM_BoosterPredictForMat", self._booster, rows.ctypes.data, *facts, *written)
        return answers

    def _number(self, function: str) -> int:
        number = _INT()
        self._call(function, self._booster, ctypes.byref(number))
        return number.value

    def _names(self) -> tuple[str, ...]:
        buffers = [ctypes.create_string_buffer(_NAME_BYTES) for _ in range(self.width)]
        places = (_HANDLE * self.width)(*map(ctypes.addressof, buffers))
        sizes = ctypes.byref(_INT()), _NAME_BYTES, ctypes.byref(ctypes.c_size_t())
        self._call("LGBM_BoosterGetFeatureNames", self._booster, self.width, *sizes, places)
        return tuple(buffer.value.decode() for buffer in buffers)

    def _call(self, function: str, *arguments: object) -> None:
        if getattr(self._library, function)(*arguments):
            said = self._library.LGBM_GetLastError().decode("utf-8", "replace")
            raise ModelUnloadable(f"lightgbm: {' '.join(said.split())[:200]}")


def load(artifact: bytes) -> LightgbmRuntime:
    """The booster in a file. Raises ModelUnloadable."""
    return LightgbmRuntime(artifact)


def _facts(artifact: bytes) -> dict[str, str]:
    """What the file says of itself before its first tree, and after its last."""
    head, _, rest = artifact.decode("utf-8", "replace").partition("\nTree=")
    lines = [line for line in head.splitlines() if "=" in line]
    facts = dict(line.split("=", 1) for line in lines)
    _, found, categories = rest.rpartition("\npandas_categorical:")
    return facts | ({"pandas_categorical": categories} if found else {})


def _refuse_categories(facts: dict[str, str]) -> None:
    """Raises ModelUnloadable where the columns were categories of pandas, whose codes the file leaves to its caller."""
    try:
        categories = json.loads(facts.get("pandas_categorical", "null"))
    except ValueError:
        categories = None
    if categories:
        raise ModelUnloadable(
            f"{len(categories)} columns hold categories of pandas, whose codes a lightgbm file leaves to its caller",
            "encode them in training, or add the estimator as joblib",
        )


@cache
def _library() -> ctypes.CDLL:
    return native_library.library("lightgbm", "LGBM_GetLastError", _SIGNATURES)
