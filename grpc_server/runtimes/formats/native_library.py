"""C libraries inside Python packages, called without importing the package.

Importing XGBoost or LightGBM also imports pandas and scikit-learn, and their Python code makes one row take three times as long.
"""

import ctypes
import os
import re
import weakref
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype

_CODE_LOCATION = re.compile(r"^\[[\d:]+\] \S+: |\s*Stack trace:.*", re.DOTALL)
"""Parts of an error text that only a developer of the library needs."""


class NativeLibrary:
    """The C library in the folder `lib` of a Python package. As thread-safe as the library itself."""

    def __init__(self, package: str, last_error: str, signatures: Mapping[str, Sequence[Any]]) -> None:
        """`last_error` names the function that returns the last error's text; `signatures` holds argument types by function.

        Raises ModuleNotFoundError if the package is not installed.
        """
        self._package = package
        self._library = ctypes.CDLL(str(_library_file(package)))
        self._last_error = getattr(self._library, last_error)
        self._last_error.restype = ctypes.c_char_p
        for name, arguments in signatures.items():
            getattr(self._library, name).argtypes = arguments

    def call(self, function: str, *arguments: object) -> None:
        """Call a function that returns 0 on success. Raises ModelUnloadable with the library's error text."""
        if getattr(self._library, function)(*arguments):
            text = _CODE_LOCATION.sub("", self._last_error().decode("utf-8", "replace"))
            raise ModelUnloadable(f"{self._package}: {' '.join(text.split())[:200]}")

    def create(self, owner: object, create: str, free: str, *arguments: object) -> ctypes.c_void_p:
        """The handle that `create` writes to its last argument; `free` takes it when `owner` is garbage-collected."""
        handle = ctypes.c_void_p()
        self.call(create, *arguments, ctypes.byref(handle))
        weakref.finalize(owner, getattr(self._library, free), handle)
        return handle

    def value(self, kind: type[Any], function: str, handle: ctypes.c_void_p) -> Any:
        """The value, of a type of ctypes, that `function` writes to its last argument."""
        found = kind()
        self.call(function, handle, ctypes.byref(found))
        return found.value


def _library_file(package: str) -> Path:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    (file,) = (Path(found.submodule_search_locations[0]) / "lib").glob(f"*{package}.*")
    return file


def threads() -> int:
    """Threads that one run may use: `OMP_NUM_THREADS`, which the pool sets in a worker, or else one."""
    stated = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(1, int(stated)) if stated.isdecimal() else 1


def check_width(columns: int, width: int) -> None:
    """Raises ValueError for rows of another width than the model's: a C library would read beyond their end."""
    if columns != width:
        raise ValueError(f"rows of {columns} columns for a model of {width}")


def check_numbers(library: str, dtypes: Sequence[Dtype]) -> None:
    """Raises ModelUnloadable, with `library` in its text, if a column is not float64."""
    for index, dtype in enumerate(dtypes):
        if not dtype.is_plain:
            raise ModelUnloadable(f"{library} takes numbers, but the column {index} is {dtype.name}", "encode it in training")
