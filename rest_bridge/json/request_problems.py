"""What is wrong with a request, and the one body in which every refusal says so."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

Loc = tuple[str | int, ...]

MOST = 50
"""Most problems that one answer lists; it counts the rest."""

_LONGEST = 64


@dataclass(frozen=True, slots=True)
class RequestProblem:
    """One entry of `detail`, as FastAPI's clients read it."""

    type: str
    """Identifier for programs: the id of the broken rule, such as `double.gte_lte`, the same as over gRPC."""
    loc: Loc
    """Where: `("body", "rows", 3, "petal_width")`; empty where no part of the request is to blame."""
    msg: str
    input: Any = None
    """The refused value; left out of the answer unless it is short, scalar and finite."""
    ctx: Mapping[str, Any] = field(default_factory=dict)
    """More for programs: the bounds of the rule, or the gate that a version did not pass."""

    def as_json(self) -> dict[str, Any]:
        """The entry, small whatever the request held."""
        entry: dict[str, Any] = {"type": self.type, "loc": [_short(part) for part in self.loc], "msg": self.msg}
        if _echoed(self.input):
            entry["input"] = self.input
        if self.ctx:
            entry["ctx"] = dict(self.ctx)
        return entry


class RequestProblems:
    """Problems as they are found: keeps the first ones, counts all."""

    def __init__(self) -> None:
        self.found: list[RequestProblem] = []
        self.count = 0
        self.unjudged_rows = 0
        """Rows of a batch that were not looked at any more."""

    @property
    def full(self) -> bool:
        """Whether no further problem will be listed."""
        return self.count >= MOST

    def add(self, problem: RequestProblem) -> None:
        """Note one."""
        self.count += 1
        if len(self.found) < MOST:
            self.found.append(problem)


class RequestRefused(Exception):
    """A request that gets no prediction, as HTTP says it."""

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
        """`{"detail": [...]}`, with `omitted` problems that are not listed and `unjudged_rows`, where there are any."""
        body: dict[str, Any] = {"detail": [problem.as_json() for problem in self.problems[:MOST]]}
        if self.count > len(body["detail"]):
            body["omitted"] = self.count - len(body["detail"])
        if self.unjudged_rows:
            body["unjudged_rows"] = self.unjudged_rows
        return body

    def response(self) -> Response:
        """The body with its status and headers."""
        return Response(json.dumps(self.body, allow_nan=False), self.status, self.headers, "application/json")


def refused(
    status: int, kind: str, msg: str, loc: Iterable[str | int] = (), headers: Mapping[str, str] | None = None
) -> RequestRefused:
    """A refusal with a single problem."""
    return RequestRefused(status, [RequestProblem(kind, tuple(loc), msg)], headers=headers)


def _short(part: str | int) -> str | int:
    return part if isinstance(part, int) or len(part) <= _LONGEST else f"{part[:_LONGEST]}..."


def _echoed(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 1 << 63
    return isinstance(value, str) and len(value) <= _LONGEST
