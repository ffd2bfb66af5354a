"""LightGBM's text files, run by LightGBM (https://lightgbm.readthedocs.io) through its C interface, LightGBM/c_api.h.

A row takes a third of its time in the Python package. The numbers are the same in every bit.
"""

import ctypes
import json
from collections.abc import Sequence

import numpy as np

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.formats.native_library import NativeLibrary, check_numbers, check_width, threads
from grpc_server.runtimes.formats.tree_outputs import Kind, boosted_sources, classes_of
from grpc_server.runtimes.runtime import Classes

_KINDS: dict[str, Kind] = {
    "binary": "probability",
    "multiclass": "probability",
    "multiclassova": "probability",
    "lambdarank": "score",
    "rank_xendcg": "score",
}
"""The meaning of a number by training objective; every other objective predicts a value."""

_FLOAT64, _ROW_MAJOR, _NORMAL, _ALL_ITERATIONS = 1, 1, 0, -1
"""Constants of c_api.h. A normal prediction is the objective's function of the sum over the trees."""

_MAX_NAME_BYTES = 1024
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


class LightgbmRuntime:
    """A booster. NaN stands for a missing value. One thread at a time."""

    targets: tuple[tuple[str, ...], ...] = ()

    def __init__(self, artifact: bytes) -> None:
        """Raises ModelUnloadable for bytes that hold no booster, or one trained on categories."""
        self._library = NativeLibrary("lightgbm", "LGBM_GetLastError", _SIGNATURES)
        written = ctypes.byref(_INT())
        self._booster = self._library.create(self, "LGBM_BoosterLoadModelFromString", "LGBM_BoosterFree", artifact, written)
        parameters = _parameters(artifact)
        _refuse_categories(parameters)
        self.width: int = self._library.value(_INT, "LGBM_BoosterGetNumFeature", self._booster)
        self._outputs: int = self._library.value(_INT, "LGBM_BoosterGetNumClasses", self._booster)
        names = self._column_names()
        self.columns = None if names == tuple(f"Column_{index}" for index in range(self.width)) else names
        self._kind = _KINDS.get(parameters.get("objective", "").partition(" ")[0], "value")
        self.classes, _ = classes_of(self._kind, 1)
        self._options = f"num_threads={threads()} verbosity=-1".encode()
        settings = _NORMAL, 0, _ALL_ITERATIONS, _FLOAT64, self.width, self._options
        functions = "LGBM_BoosterPredictForMatSingleRowFastInit", "LGBM_FastConfigFree"
        self._single_row = self._library.create(self, *functions, self._booster, *settings)
        self._length = _LONG()

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        check_numbers("LightGBM", dtypes)
        return boosted_sources(self._kind, self._predict, self._outputs, 1)

    def _predict(self, rows: Matrix) -> Matrix:
        """Shape (rows, outputs)."""
        rows = np.ascontiguousarray(rows, np.float64)
        count, columns = rows.shape
        check_width(columns, self.width)
        answers = np.empty((count, self._outputs))
        written = ctypes.byref(self._length), answers.ctypes.data
        if count == 1:
            self._library.call("LGBM_BoosterPredictForMatSingleRowFast", self._single_row, rows.ctypes.data, *written)
        else:
            settings = _FLOAT64, count, columns, _ROW_MAJOR, _NORMAL, 0, _ALL_ITERATIONS, self._options
            self._library.call("LGBM_BoosterPredictForMat", self._booster, rows.ctypes.data, *settings, *written)
        return answers

    def _column_names(self) -> tuple[str, ...]:
        buffers = [ctypes.create_string_buffer(_MAX_NAME_BYTES) for _ in range(self.width)]
        addresses = (_HANDLE * self.width)(*map(ctypes.addressof, buffers))
        sizes = ctypes.byref(_INT()), _MAX_NAME_BYTES, ctypes.byref(ctypes.c_size_t())
        self._library.call("LGBM_BoosterGetFeatureNames", self._booster, self.width, *sizes, addresses)
        return tuple(buffer.value.decode() for buffer in buffers)


def _parameters(artifact: bytes) -> dict[str, str]:
    """The `key=value` lines before the first tree, and the categories of pandas after the last."""
    head, _, rest = artifact.decode("utf-8", "replace").partition("\nTree=")
    parameters = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    _, found, categories = rest.rpartition("\npandas_categorical:")
    return parameters | ({"pandas_categorical": categories} if found else {})


def _refuse_categories(parameters: dict[str, str]) -> None:
    """Raises ModelUnloadable if columns were categories of pandas: the file leaves their codes to the caller."""
    try:
        categories = json.loads(parameters.get("pandas_categorical", "null"))
    except ValueError:
        categories = None
    if categories:
        reason = f"{len(categories)} columns hold categories of pandas, whose codes a lightgbm file leaves to its caller"
        raise ModelUnloadable(reason, "encode them in training, or add the estimator as joblib")
