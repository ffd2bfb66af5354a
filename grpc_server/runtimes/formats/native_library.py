"""Libraries in C that Python packages hold, called without these: they import pandas and scikit-learn, and double a row's time."""

import ctypes
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grpc_server.errors import ModelUnloadable


def library(package: str, error: str, signatures: Mapping[str, Sequence[Any]]) -> ctypes.CDLL:
    """The library in the folder `lib` of a package, which is found without being imported.

    `error` is its function that words the last failure; `signatures` are the arguments of what is called. Raises
    ModuleNotFoundError where the package is not installed.
    """
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    (path,) = (Path(found.submodule_search_locations[0]) / "lib").glob(f"*{package}.*")
    loaded = ctypes.CDLL(str(path))
    getattr(loaded, error).restype = ctypes.c_char_p
    for name, arguments in signatures.items():
        getattr(loaded, name).argtypes = arguments
    return loaded


def threads() -> int:
    """How many threads a run may use: one where calls are taken in, what the pool has said in a worker (see child.py)."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(1, int(said)) if said.isdecimal() else 1


def check_width(columns: int, width: int) -> None:
    """Raises ValueError for rows of another width than the model's: a library in C would read on behind them."""
    if columns != width:
        raise ValueError(f"rows of {columns} columns for a model of {width}")


def check_plain(library: str, names: Sequence[str]) -> None:
    """`names` are the types of the columns. Raises ModelUnloadable where some are no numbers."""
    for place, name in enumerate(names):
        if name != "float64":
            raise ModelUnloadable(f"{library} takes numbers, but the column {place} is {name}", "encode it in training")
