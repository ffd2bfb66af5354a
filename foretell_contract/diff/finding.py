"""What a comparison of two contracts finds, and how it is worded."""

from dataclasses import dataclass
from enum import Enum

from foretell_contract.source.source_locations import SourceLocation


class Side(Enum):
    """Who sends a message."""

    REQUEST = "request"
    RESPONSE = "response"


class Impact(Enum):
    """What a change means for those who call, from harmless to worst."""

    SAFE = "safe"
    WARNING = "warning"
    """Only the author can tell."""
    BREAKING = "breaking"
    """Calls that worked are refused, or answered with something else."""
    NEW_VERSION = "needs a new package version"
    """Old and new callers cannot even read each other's bytes."""

    @property
    def severity(self) -> int:
        """0 for safe, and up."""
        return list(Impact).index(self)


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One difference, not yet judged."""

    rule: str
    """The line of the table of rulings that judges it."""
    name: str
    """Full name of what changed."""
    text: str
    """What changed, from what to what."""
    message: str = ""
    """The message or enum that it belongs to, which says on which side it matters; empty for what everybody sees."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference and what it means for callers of the old contract."""

    location: SourceLocation
    """In the new contract; for what is gone, where it would stand, or else where it stood."""
    package: str
    name: str
    """Full name of what changed."""
    rule: str
    """The line of the table of rulings, such as "field.removed"."""
    change: str
    """What changed, from what to what."""
    impact: Impact
    reason: str
    alternative: str = ""
    """What to do about it; empty for nothing."""

    @property
    def breaks(self) -> bool:
        """Whether callers of the old contract fail, or are told something else."""
        return self.impact in (Impact.BREAKING, Impact.NEW_VERSION)

    @property
    def subject(self) -> str:
        """The name within its package, or that of the package itself."""
        return self.name.removeprefix(f"{self.package}.")

    @property
    def sentence(self) -> str:
        """All but the place and the verdict."""
        alternative = f" Instead: {self.alternative}." if self.alternative else ""
        return f"{self.subject}: {self.change}. {self.reason[:1].upper()}{self.reason[1:]}.{alternative}"

    def __str__(self) -> str:
        return f"{self.location}: {self.impact.value}: {self.sentence}"
