"""Ensembles of trees, run by treelite (https://treelite.readthedocs.io): nothing of scikit-learn is imported to serve them.

The library is called through its C interface, because the Python package around it imports scipy, and doubles the time of one row.
"""

import ctypes
import weakref
from collections.abc import Sequence
from importlib.util import find_spec
from math import prod
from pathlib import Path

import numpy as np

from grpc_server.errors import ModelUnloadable
from grpc_server.outputs import Source, probabilities
from grpc_server.table import Dtype, Matrix, Rows

_HANDLE = ctypes.c_void_p
_CONFIG = b'{"predict_type": "default", "nthread": 1}'
_SIGNATURES = {
    "TreeliteDeserializeModelFromBytes": (ctypes.c_char_p, ctypes.c_size_t, _HANDLE),
    "TreeliteFreeModel": (_HANDLE,),
    "TreeliteGTILParseConfig": (ctypes.c_char_p, _HANDLE),
    "TreeliteGTILDeleteConfig": (_HANDLE,),
    "TreeliteGTILGetOutputShape": (_HANDLE, ctypes.c_uint64, _HANDLE, _HANDLE, _HANDLE),
    "TreeliteGTILPredict": (_HANDLE, _HANDLE, ctypes.c_char_p, ctypes.c_uint64, _HANDLE, _HANDLE),
    "TreeliteQueryNumFeature": (_HANDLE, _HANDLE),
    "TreeliteGetInputType": (_HANDLE, _HANDLE),
}
"""The arguments of what is called (treelite/c_api.h); whatever is written to is passed by reference."""


class TreesRuntime:
    """An ensemble that compares and adds in float64, as scikit-learn does."""

    columns: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
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
        if number.value != b"float64":
            raise ModelUnloadable("the trees compare in float32: only conversions by `foretell add --accelerate trees` are served")
        width, shape, dimensions = ctypes.c_int(), ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        self._call("TreeliteQueryNumFeature", self._model, ctypes.byref(width))
        arguments = self._model, 1, self._config, ctypes.byref(shape), ctypes.byref(dimensions)
        self._call("TreeliteGTILGetOutputShape", *arguments)
        self.width = width.value
        self._outputs = prod(shape[: dimensions.value])

    def sources(self, dtypes: Sequence[Dtype], sample: Rows) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        return (probabilities(max(self._outputs, 2), self.predict),)

    def predict(self, rows: Matrix) -> Matrix:
        """Probabilities, shape (n, classes)."""
        rows = np.ascontiguousarray(rows, np.float64)
        if rows.shape[1] != self.width:  # The library would read on behind the rows.
            raise ValueError(f"rows of {rows.shape[1]} columns for trees of {self.width}")
        outputs = np.zeros((len(rows), self._outputs))
        self._call("TreeliteGTILPredict", self._model, rows.ctypes.data, b"float64", len(rows), outputs.ctypes.data, self._config)
        return outputs if self._outputs > 1 else np.hstack((1 - outputs, outputs))

    def _call(self, function: str, *arguments: object) -> None:
        if getattr(self._library, function)(*arguments):
            raise ModelUnloadable(f"treelite: {self._library.TreeliteGetLastError().decode('utf-8', 'replace')[:200]}")


def load(artifact: bytes) -> TreesRuntime:
    """The ensemble that treelite serialised. Raises ModelUnloadable."""
    return TreesRuntime(artifact)


def _library() -> ctypes.CDLL:
    """The library inside the package, which is found without being imported."""
    package = find_spec("treelite")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'treelite'", name="treelite")
    (path,) = (Path(package.submodule_search_locations[0]) / "lib").glob("*treelite.*")
    library = ctypes.CDLL(str(path))
    library.TreeliteGetLastError.restype = ctypes.c_char_p
    for name, arguments in _SIGNATURES.items():
        getattr(library, name).argtypes = arguments
    return library
