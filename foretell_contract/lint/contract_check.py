"""Everything that is wrong with a contract, at once and each with its place."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from foretell_contract.contract import Contract, load
from foretell_contract.errors import ContractError, ProtocError
from foretell_contract.lint.pitfalls import missing_docs, pitfalls
from foretell_contract.problem import Problem, Severity, error
from foretell_contract.source.source_locations import SourceLocation, source_locations

_COMPLAINT = re.compile(r"(?P<file>.+?\.proto):(?P<line>\d+):(?:\d+:)? (?P<reason>.*)")
_COMPILE = "change that; all else is looked at once it compiles"


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    """A problem and where it is."""

    location: SourceLocation
    problem: Problem

    def __str__(self) -> str:
        return f"{self.location}: {self.problem.severity.value}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """All but the place and the severity."""
        reason = self.problem.reason if self.problem.reason.endswith("?") else f"{self.problem.reason}."
        return f"{reason} Fix: {self.problem.fix}." if self.problem.fix else reason

    @property
    def is_error(self) -> bool:
        """Whether it has to be solved."""
        return self.problem.severity is Severity.ERROR


def check_contracts(root: Path) -> tuple[Contract | None, list[LocatedProblem]]:
    """The contracts under `root`, and what is wrong with them; without a contract where nothing can be read of them."""
    try:
        contract = load(root, strict=False)
    except ProtocError as refusal:
        return None, [_complaint(root, line) for line in refusal.complaints]
    except ContractError as refusal:
        return None, [LocatedProblem(SourceLocation(str(root)), error("", refusal.reason, refusal.fix))]
    return contract, locate(contract, [*contract.defects, *pitfalls(contract), *missing_docs(contract)])


def locate(contract: Contract, problems: Iterable[Problem]) -> list[LocatedProblem]:
    """The problems with their places, in the order of the files."""
    known = source_locations(contract.descriptor_set)
    first = SourceLocation(next(iter(contract.sources), ""))
    found = (LocatedProblem(next((known[name] for name in _outward(each.name) if name in known), first), each) for each in problems)
    return sorted(found, key=lambda each: each.location)


def _outward(name: str) -> Iterator[str]:
    """A name, and those of what it is in."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _complaint(root: Path, line: str) -> LocatedProblem:
    told = _COMPLAINT.fullmatch(line)
    if told is None:
        return LocatedProblem(SourceLocation(str(root)), error("", line.removesuffix("."), _COMPILE))
    file = told["file"].removeprefix(f"{root.resolve()}/")
    return LocatedProblem(SourceLocation(file, int(told["line"])), error("", told["reason"].removesuffix("."), _COMPILE))
