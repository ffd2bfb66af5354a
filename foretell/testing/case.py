"""A request for a server with the result that the contract demands, the server's reply, and the result of comparing them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.message import Message

from foretell_contract.service import Method

_STEP = re.compile(r"[^.\[\]\"]+")

_SHOWN_RULES = 10
"""Broken rules that a report names."""


class BrokenRule(NamedTuple):
    """A rule that a request breaks, and the path to the field, the same for gRPC and REST."""

    path: tuple[str, ...]
    """Such as `("rows", "3", "petal_width")`."""
    rule: str

    def __str__(self) -> str:
        return f"{self.rule} at {'.'.join(self.path)}" if self.path else self.rule


def broken_rule(path: str | Iterable[str | int], rule: str) -> BrokenRule:
    """From a path of gRPC, such as `rows[3].petal_width`, or the steps of a path of REST."""
    steps = [path] if isinstance(path, str) else map(str, path)
    parts = [part for step in steps for part in _STEP.findall(step)]
    return BrokenRule(tuple(part.lower() if part in ("True", "False") else part for part in parts), rule)


def listed(rules: Iterable[BrokenRule], omitted: int = 0) -> str:
    """The first rules in words, and the number of the others."""
    names = sorted(map(str, rules))
    others = len(names[_SHOWN_RULES:]) + omitted
    return ", ".join(names[:_SHOWN_RULES]) + (f" and {others} more" if others else "")


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and the result that gRPC and REST must give alike."""

    method: Method
    path: str
    """The field under test, such as `address.zip`; empty for the whole request."""
    name: str
    why: str
    messages: tuple[bytes, ...] = ()
    """The gRPC messages: one, or several for a stream; empty if no protobuf message can express the request."""
    body: bytes | None = None
    """The body over REST; None if JSON cannot express the request."""
    breaks: frozenset[BrokenRule] = frozenset()
    """The rules that the server must report as broken; empty if it must answer."""
    may_break_more: bool = False
    """Whether the server may report further rules."""
    rows: tuple[bytes, ...] = ()
    """Rows whose answers must be the same in separate calls of `row_method`."""
    row_method: Method | None = None
    golden: dict[str, Any] | None = None
    """The recorded fields of the answer to a golden row, as arguments of the message's constructor."""
    golden_version: str = ""
    defect: str = ""
    """Why the contract does not say how to treat this request; the check then fails."""

    @property
    def id(self) -> str:
        """Such as `iris.v1.IrisService.Predict/petal_width/above-max`."""
        return "/".join(filter(None, (self.method.full_name, self.path, self.name)))


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server replied to a request over gRPC or REST."""

    status: str
    """`OK`, the name of a gRPC status, or the number of an HTTP status."""
    answers: tuple[Message, ...] = ()
    problems: tuple[tuple[BrokenRule, str], ...] = ()
    """The broken rules and their messages, if the request was refused as invalid."""
    omitted: int = 0
    """The number of broken rules that the refusal counts without a name: a server lists as many as fit."""
    text: str = ""
    """The details of a gRPC status, or the start of an HTTP body."""
    document: Any = None
    """The body over REST, if it is JSON."""
    version: str = ""

    @property
    def answered(self) -> bool:
        """Whether the request succeeded."""
        return self.status in ("OK", "200")

    @property
    def broken(self) -> frozenset[BrokenRule]:
        """The rules that the server reports as broken."""
        return frozenset(rule for rule, _ in self.problems)

    def reports(self, rules: frozenset[BrokenRule]) -> bool:
        """Whether the server names these rules and no other, or counts those that it does not name."""
        return self.broken <= rules and (self.broken == rules or 0 < len(rules - self.broken) <= self.omitted)

    def __str__(self) -> str:
        if self.answered:
            return "an answer"
        return f"{self.status} ({listed(self.broken, self.omitted) or self.text[:200] or 'no reason'})"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check, for reports."""

    id: str
    why: str
    sent: str
    """The request, readable and shortened."""
    expected: str
    replies: dict[str, str] = field(default_factory=dict)
    """The reply by transport: `gRPC`, `REST`."""
    failures: tuple[str, ...] = ()
    skipped: str = ""
    """Why the check did not run."""

    @property
    def outcome(self) -> str:
        """`failed`, `skipped` or `passed`."""
        return "failed" if self.failures else "skipped" if self.skipped else "passed"
