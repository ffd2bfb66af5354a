"""Changes of a contract, and findings: changes with their impact on callers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from foretell_contract.source.source_info import SourceLocation


class Side(Enum):
    """Direction of a message; callers send requests and read responses."""

    REQUEST = "request"
    RESPONSE = "response"


class Impact(Enum):
    """What a change means for callers of the old contract, from harmless to worst. The value is shown to people."""

    SAFE = "safe"
    WARNING = "warning"
    """The meaning may differ; only the author can tell."""
    BREAKING = "breaking"
    """Callers are refused, or get answers that they do not expect."""
    NEW_VERSION = "needs a new package version"
    """Old and new stubs cannot read each other's bytes."""

    @property
    def severity(self) -> int:
        """0 for safe; larger is worse."""
        return list(Impact).index(self)


RuleAndText = tuple[str, str]
"""Rule and text of a ContractChange."""


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One difference between two contracts, without its impact."""

    rule: str
    """Its key in CONSEQUENCES, such as "field.removed"."""
    name: str
    """Full name of what changed."""
    text: str
    message: str = ""
    """Full name of the message or enum around it, which decides the side; empty for services, methods and packages."""


def added_or_removed(what: str, old: Iterable[str], new: Iterable[str]) -> Iterator[ContractChange]:
    """A change for each full name of a package, service or method that is on one side only."""
    for change, here, there in (("removed", old, set(new)), ("added", new, set(old))):
        yield from (ContractChange(f"{what}.{change}", name, f"{what} {change}") for name in here if name not in there)


@dataclass(frozen=True, slots=True)
class Finding:
    """One ContractChange and its impact on callers of the old contract."""

    location: SourceLocation
    """In the new contract; for a removed declaration, the scope around it, else its old place."""
    package: str
    name: str
    rule: str
    change: str
    impact: Impact
    reason: str
    alternative: str = ""
    """What to do instead; empty if nothing needs to be done."""

    @property
    def breaks(self) -> bool:
        """Whether callers fail, or get answers that they do not expect."""
        return self.impact in (Impact.BREAKING, Impact.NEW_VERSION)

    @property
    def subject(self) -> str:
        """The name within its package, or the name of the package itself."""
        return self.name.removeprefix(f"{self.package}.")

    @property
    def sentence(self) -> str:
        """Subject, change, reason and alternative, without location and impact."""
        alternative = f" Instead: {self.alternative}." if self.alternative else ""
        return f"{self.subject}: {self.change}. {self.reason[:1].upper()}{self.reason[1:]}.{alternative}"

    def __str__(self) -> str:
        return f"{self.location}: {self.impact.value}: {self.sentence}"
