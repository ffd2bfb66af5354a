"""What is wrong with a contract, in the words of `foretell check` and of a start that is refused."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How wrong it is."""

    ERROR = "error"
    """It cannot work, or not as it says."""
    WARNING = "warning"
    """It works, and somebody will wish it had been said."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where, and what to do about it."""

    severity: Severity
    name: str
    """Full name of what it is about; empty for the contract as a whole."""
    reason: str
    """What is wrong; names what it is about."""
    fix: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.fix}" if self.fix else self.reason


def error(name: str, reason: str, fix: str) -> Problem:
    """A problem that has to be solved."""
    return Problem(Severity.ERROR, name, reason, fix)


def warning(name: str, reason: str, fix: str) -> Problem:
    """A problem that one can live with."""
    return Problem(Severity.WARNING, name, reason, fix)
