"""Checks a running server against its contract: `foretell test`, `pytest --foretell`, and the names below for other packages.

Public are these names only; they are imported on first use, because pytest imports this package in every project.
May import every room but `init`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foretell.testing.case import CheckResult
    from foretell.testing.suite import Check, CheckSuite, SuiteOptions
    from foretell.testing.verifier import Verifier

__all__ = ["Check", "CheckResult", "CheckSuite", "SuiteOptions", "Verifier"]

_MODULES = {"Check": "suite", "CheckResult": "case", "CheckSuite": "suite", "SuiteOptions": "suite", "Verifier": "verifier"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
