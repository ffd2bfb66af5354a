"""The problems of a request, and the JSON body of every refusal."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

Loc = tuple[str | int, ...]

MAX_PROBLEMS = 50
"""Most problems that a refusal lists; it counts the others."""

_MAX_ECHO = 64
"""Characters of the longest value that a refusal repeats."""

_MAX_NAME = 256
"""Characters of the longest name that a refusal repeats in `loc`."""


@dataclass(frozen=True, slots=True)
class RequestProblem:
    """One entry of `detail`, in FastAPI's form."""

    type: str
    """Identifier for programs: the id of the broken rule, such as `double.gte_lte`, the same as over gRPC."""
    loc: Loc
    """Place in the request, such as `("body", "rows", 3, "petal_width")`; empty if no part of it caused the problem."""
    msg: str
    input: Any = None
    """The refused value; left out of the JSON unless it is short, scalar and finite."""
    ctx: Mapping[str, Any] = field(default_factory=dict)
    """More for programs: the bounds of the rule, or the gate that a version failed."""

    def as_json(self) -> dict[str, Any]:
        """The entry, bounded in size whatever the request contains."""
        entry: dict[str, Any] = {"type": self.type, "loc": [_shortened(part) for part in self.loc], "msg": self.msg}
        if _is_short_scalar(self.input):
            entry["input"] = self.input
        if self.ctx:
            entry["ctx"] = dict(self.ctx)
        return entry


class RequestProblems:
    """Collects the problems of a request: lists the first MAX_PROBLEMS, counts all."""

    def __init__(self) -> None:
        self.found: list[RequestProblem] = []
        self.count = 0
        self.unjudged_rows = 0
        """Rows of a batch that were not checked, because the list is full."""

    @property
    def full(self) -> bool:
        """Whether the list is full."""
        return self.count >= MAX_PROBLEMS

    def add(self, problem: RequestProblem) -> None:
        """Count the problem, and list it unless the list is full."""
        self.count += 1
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(problem)


class RequestRefused(Exception):
    """A request that is refused, with its HTTP status and problems."""

    def __init__(
        self,
        status: int,
        problems: Sequence[RequestProblem],
        *,
        count: int = 0,
        unjudged_rows: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status)
        self.status = status
        self.problems = problems
        self.count = max(count, len(problems))
        self.unjudged_rows = unjudged_rows
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """`{"detail": [...]}`, with the numbers of `omitted` problems and `unjudged_rows` unless they are zero."""
        body: dict[str, Any] = {"detail": [problem.as_json() for problem in self.problems[:MAX_PROBLEMS]]}
        if self.count > len(body["detail"]):
            body["omitted"] = self.count - len(body["detail"])
        if self.unjudged_rows:
            body["unjudged_rows"] = self.unjudged_rows
        return body

    def response(self) -> Response:
        """The HTTP response."""
        return Response(json.dumps(self.body, allow_nan=False), self.status, self.headers, "application/json")


def refusal(
    status: int, kind: str, msg: str, loc: Iterable[str | int] = (), headers: Mapping[str, str] | None = None
) -> RequestRefused:
    """A refusal with a single problem."""
    return RequestRefused(status, [RequestProblem(kind, tuple(loc), msg)], headers=headers)


def _shortened(part: str | int) -> str | int:
    return part if isinstance(part, int) or len(part) <= _MAX_NAME else f"{part[:_MAX_NAME]}..."


def _is_short_scalar(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 1 << 63
    return isinstance(value, str) and len(value) <= _MAX_ECHO
