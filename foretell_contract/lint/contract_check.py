"""Lists all problems of the contracts under a folder, each with file and line."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from foretell_contract.contract import Contract, load
from foretell_contract.errors import ContractError, ProtocError
from foretell_contract.lint.pitfalls import missing_docs, pitfalls
from foretell_contract.problem import Problem, Severity, error
from foretell_contract.source.source_info import SourceLocation, source_locations

_PROTOC_MESSAGE = re.compile(r"(?P<file>.+?\.proto):(?P<line>\d+):(?:\d+:)? (?P<reason>.*)")
_CORRECT = "correct this; everything else is checked once it compiles"


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    """A problem and its place in the `.proto` files."""

    location: SourceLocation
    problem: Problem

    def __str__(self) -> str:
        return f"{self.location}: {self.problem.severity.value}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """The reason and the fix, without location and severity."""
        reason = self.problem.reason if self.problem.reason.endswith("?") else f"{self.problem.reason}."
        return f"{reason} Fix: {self.problem.fix}." if self.problem.fix else reason

    @property
    def is_error(self) -> bool:
        """Whether the problem must be solved."""
        return self.problem.severity is Severity.ERROR


def check_contracts(root: Path) -> tuple[Contract | None, list[LocatedProblem]]:
    """The contracts under `root` and all their problems; None as the contract if it does not compile or defines no service."""
    try:
        contract = load(root, strict=False)
    except ProtocError as failed:
        return None, [_from_protoc(root, message) for message in failed.messages]
    except ContractError as invalid:
        return None, [LocatedProblem(SourceLocation(str(root)), error("", invalid.reason, invalid.fix))]
    return contract, locate(contract, [*contract.defects, *pitfalls(contract), *missing_docs(contract)])


def locate(contract: Contract, problems: Iterable[Problem]) -> list[LocatedProblem]:
    """The problems with their places, in the order of the files; a problem without a name is placed in the first file."""
    known = source_locations(contract.descriptor_set)
    first = SourceLocation(next(iter(contract.sources), ""))
    found = (LocatedProblem(next((known[name] for name in _outward(each.name) if name in known), first), each) for each in problems)
    return sorted(found, key=lambda each: each.location)


def _outward(name: str) -> Iterator[str]:
    """A full name, then the names of the scopes around it."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _from_protoc(root: Path, message: str) -> LocatedProblem:
    parts = _PROTOC_MESSAGE.fullmatch(message)
    if parts is None:
        return LocatedProblem(SourceLocation(str(root)), error("", message.removesuffix("."), _CORRECT))
    file = parts["file"].removeprefix(f"{root.resolve()}/")
    return LocatedProblem(SourceLocation(file, int(parts["line"])), error("", parts["reason"].removesuffix("."), _CORRECT))
