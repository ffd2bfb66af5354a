"""One question to a server and the answer that the contract demands."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.message import Message

from foretell_contract.rules.rules import Violation
from foretell_contract.service import Method

_STEP = re.compile(r"[^.\[\]\"]+")


class Broken(NamedTuple):
    """A rule that a request breaks, and where, in a form that both doors' paths come to."""

    place: tuple[str, ...]
    """Such as `("rows", "3", "petal_width")`."""
    rule: str

    def __str__(self) -> str:
        return f"{self.rule} at {'.'.join(self.place)}" if self.place else self.rule


def broken(place: str | Iterable[str | int], rule: str) -> Broken:
    """`place` is a path of gRPC, such as `rows[3].petal_width`, or the steps of REST."""
    steps = [place] if isinstance(place, str) else map(str, place)
    return Broken(
        tuple(part.lower() if part in ("True", "False") else part for step in steps for part in _STEP.findall(step)), rule
    )


def all_broken(violations: Iterable[Violation]) -> frozenset[Broken]:
    """The rules that protovalidate finds broken."""
    return frozenset(broken(violation.field, violation.rule) for violation in violations)


@dataclass(frozen=True, slots=True)
class Golden:
    """The answer on record to a row."""

    parts: dict[str, Any]
    """The fields of the answer that the record tells, as a message's constructor takes them."""
    version: str
    """Of the model that gave it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A request that every door must judge alike."""

    method: Method
    place: str
    """The field it is about, such as `address.zip`; empty for the whole."""
    name: str
    """Such as `above-max`."""
    why: str
    """What it shows, in words."""
    wire: tuple[bytes, ...] = ()
    """The gRPC messages: one, but for a stream; none where protobuf cannot say it."""
    text: bytes | None = None
    """The body over REST; None where JSON cannot say it."""
    breaks: frozenset[Broken] = frozenset()
    """The rules that the server must find broken; empty where it must answer."""
    more: bool = False
    """Whether it may find others besides."""
    alone: tuple[bytes, ...] = ()
    """Rows that must be answered one by one as they are together."""
    single: Method | None = None
    """The method that takes them one by one."""
    golden: Golden | None = None
    defect: str = ""
    """Why the contract itself cannot judge this row."""

    @property
    def id(self) -> str:
        """Such as `iris.v1.IrisService.Predict/petal_width/above-max`."""
        return "/".join(filter(None, (self.method.full_name, self.place, self.name)))


@dataclass(frozen=True, slots=True)
class Told:
    """One problem, as a door words it."""

    broken: Broken
    text: str


@dataclass(frozen=True, slots=True)
class Came:
    """What one door answered."""

    status: str
    """`OK`, the name of a gRPC status, or the number of an HTTP one."""
    answers: tuple[Message, ...] = ()
    problems: tuple[Told, ...] = ()
    """Why the request was refused, where that is for its own fault."""
    text: str = ""
    """Other words that came, or the body over REST."""
    document: Any = None
    """The body over REST, where it is JSON."""
    version: str = ""
    """Of the model that answered."""

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.status in ("OK", "200")

    @property
    def broken(self) -> frozenset[Broken]:
        """The rules that it says are broken."""
        return frozenset(told.broken for told in self.problems)

    def __str__(self) -> str:
        if self.answered:
            return "an answer"
        return f"{self.status} ({', '.join(sorted(map(str, self.broken))) or self.text[:200] or 'no reason'})"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case."""

    id: str
    why: str
    sent: str
    """The request as people read it."""
    expected: str
    came: dict[str, str] = field(default_factory=dict)
    """By door."""
    faults: tuple[str, ...] = ()
    skipped: str = ""
    """Why it was not tried."""

    @property
    def outcome(self) -> str:
        """`failed`, `skipped` or `passed`."""
        return "failed" if self.faults else "skipped" if self.skipped else "passed"
