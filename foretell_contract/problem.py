"""A problem of a contract, for `foretell check` and for errors that stop a start."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """Whether a problem must be solved."""

    ERROR = "error"
    """It stops a start, or makes the contract refuse what it should accept."""
    WARNING = "warning"
    """It can be served, but callers will probably be surprised."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where, and how to fix it."""

    severity: Severity
    name: str
    """Full name of the service, method, message or field; empty for the contract as a whole."""
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.fix}" if self.fix else self.reason


def one_line(value: object) -> str:
    """The text of a message or error, on one line."""
    return " ".join(str(value).split())


def error(name: str, reason: str, fix: str) -> Problem:
    """A problem that must be solved."""
    return Problem(Severity.ERROR, name, reason, fix)


def warning(name: str, reason: str, fix: str) -> Problem:
    """A problem that can be served."""
    return Problem(Severity.WARNING, name, reason, fix)
