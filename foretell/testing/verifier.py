"""Sends the cases of a contract to a server and compares the replies with what the contract demands."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from google.protobuf import json_format
from google.protobuf.message import Message

from foretell.testing.case import BrokenRule, Case, CheckResult, Reply, listed
from foretell.testing.contract_cases import json_body
from foretell.testing.openapi_conformance import OpenApiConformance
from foretell_contract.contract import Contract
from foretell_contract.service import Method

_TOLERANCE = 1e-6
"""Largest relative or absolute difference of equal numbers, as for golden rows: a batch may round otherwise than a row."""

_SHOWN = 300
"""Characters of a request or reply in a report."""


class ServerCaller(Protocol):
    """Sends requests of one kind: tuples of messages over gRPC, bodies over REST."""

    def call(self, method: Method, request: Any, /) -> Reply:
        """The reply of the server. Blocks."""


class Verifier:
    """Verifies cases against one server. Not safe to use from several threads."""

    def __init__(
        self, contract: Contract, grpc: ServerCaller, rest: ServerCaller | None, openapi: OpenApiConformance | None
    ) -> None:
        """Without `rest` or `openapi`, that part of each case is left out."""
        self._contract = contract
        self._grpc = grpc
        self.rest = rest
        self.openapi = openapi

    def verify(self, case: Case) -> CheckResult:
        """Sends the request over gRPC and REST and compares the replies with the case. Blocks."""
        result = CheckResult(case.id, case.why, _sent(case), _expected(case))
        if case.defect:
            return replace(result, failures=(case.defect,))
        if not case.messages and self.rest is None:
            return replace(result, skipped="only REST can express it, and no REST address was given")
        replies = self._replies(case)
        result = replace(result, replies={transport: _reply_text(reply) for transport, reply in replies.items()})
        version = next(filter(None, (reply.version for reply in replies.values())), "")
        if case.golden is not None and version and version != case.golden_version:
            return replace(result, skipped=f"it is a golden row of version {case.golden_version}, but version {version} answers")
        return replace(result, failures=tuple(self._failures(case, replies)))

    def _replies(self, case: Case) -> dict[str, Reply]:
        replies: dict[str, Reply] = {}
        if case.messages:
            replies["gRPC"] = self._grpc.call(case.method, case.messages)
        if case.body is not None and self.rest is not None:
            replies["REST"] = _with_message(case.method, self.rest.call(case.method, case.body))
        return replies

    def _failures(self, case: Case, replies: dict[str, Reply]) -> Iterator[str]:
        for transport, reply in replies.items():
            for failure in self._reply_failures(case, reply):
                yield f"{transport}: {failure}"
        if len(replies) > 1:
            yield from _differences(replies["gRPC"], replies["REST"])
        if case.row_method is not None and replies["gRPC"].answered:
            yield from self._differs_alone(case, case.row_method, replies["gRPC"])
        if "REST" in replies and self.openapi is not None:
            yield from self.openapi.of_case(case, replies["REST"])

    def _reply_failures(self, case: Case, reply: Reply) -> Iterator[str]:
        if not case.breaks and not reply.answered:
            yield f"expected an answer, got {reply}"
        elif not (case.breaks <= reply.broken if case.may_break_more else reply.reports(case.breaks)):
            yield f"expected {_expected(case)}, got {reply}"
        if not reply.answered:
            return
        if not reply.answers:
            yield f"the reply with {reply.status} is not a {case.method.output.full_name}: {reply.text[:200]}"
        for answer in reply.answers:
            yield from self._answer_failures(case, answer)

    def _answer_failures(self, case: Case, answer: Message) -> Iterator[str]:
        for violation in self._contract.rules.violations(answer):
            yield f"the answer breaks {violation.rule} at {violation.field or 'the whole'}: {violation.message}"
        if json_body(answer) is None:
            yield "the answer holds a number that is not finite"
        if case.golden is not None:
            yield from _golden_differences(case.golden, answer)

    def _differs_alone(self, case: Case, row_method: Method, together: Reply) -> Iterator[str]:
        """Differences between the answers to rows sent together and to the same rows sent one at a time."""
        answers: Sequence[Message] = together.answers
        if case.method.answers is not None:
            answers = [answer for batch in together.answers for answer in getattr(batch, case.method.answers.name)]
        if len(answers) != len(case.rows):
            yield f"gRPC: {len(case.rows)} rows, but {len(answers)} answers"
            return
        for index, (row, answer) in enumerate(zip(case.rows, answers, strict=True)):
            alone = self._grpc.call(row_method, (row,))
            found = f"got {alone}"
            if alone.answers:
                found = _first_difference(_document(alone.answers[0]), _document(answer), names=("alone", "here"))
            if found:
                yield f"gRPC: the answer to row {index} differs from the answer to it alone: {found}"


def _with_message(method: Method, reply: Reply) -> Reply:
    """The reply with the response message that its document represents, if it does."""
    if not reply.answered:
        return reply
    try:
        return replace(reply, answers=(json_format.ParseDict(reply.document, method.response()),))
    except (json_format.ParseError, TypeError, AttributeError) as error:
        return replace(reply, text=f"{' '.join(str(error).split())}: {reply.text}")


def _differences(grpc: Reply, rest: Reply) -> Iterator[str]:
    if grpc.answered != rest.answered:
        yield f"gRPC and REST differ: gRPC gives {grpc}, REST {rest}"
    elif grpc.answers and rest.answers:
        found = _first_difference(_document(grpc.answers[0]), _document(rest.answers[0]), names=("over gRPC", "over REST"))
        if found:
            yield f"gRPC and REST differ: {found}"
    elif len(grpc.problems) + grpc.omitted != len(rest.problems) + rest.omitted or not _share(grpc.problems, rest.problems):
        texts = [sorted(f"{rule}: {message}" for rule, message in reply.problems) for reply in (grpc, rest)]
        yield f"gRPC and REST differ: gRPC reports {texts[0]}, REST {texts[1]}"
    if grpc.version and rest.version and grpc.version != rest.version:
        yield f"gRPC and REST differ: version {grpc.version} answers over gRPC, version {rest.version} over REST"


def _share(*problems: Sequence[tuple[BrokenRule, str]]) -> bool:
    """Whether two refusals list the same problems, as far as both list any."""
    shorter, longer = sorted(map(set, problems), key=len)
    return shorter <= longer


def _golden_differences(fields: dict[str, Any], answer: Message) -> Iterator[str]:
    expected = _document(type(answer)(**fields))
    given = _document(answer)
    for name in fields:
        found = _first_difference(expected.get(name), given.get(name), name, names=("in the golden row", "in the answer"))
        if found:
            yield f"the answer differs from the golden row: {found}"


def _document(message: Message) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _first_difference(one: Any, other: Any, path: str = "", *, names: tuple[str, str]) -> str:
    """The first place where two documents differ by more than the tolerance; empty if none does."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = ((one[key], other[key], f"{path}.{key}".lstrip(".")) for key in one)
        return next(filter(None, (_first_difference(*pair, names=names) for pair in pairs)), "")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = ((*pair, f"{path}[{index}]") for index, pair in enumerate(zip(one, other, strict=True)))
        return next(filter(None, (_first_difference(*pair, names=names) for pair in pairs)), "")
    return "" if _equal(one, other) else f"{path or 'the whole'} is {one!r} {names[0]} and {other!r} {names[1]}"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int) and not isinstance(one, bool):
        return abs(one - other) <= _TOLERANCE * max(1.0, abs(one))
    return bool(one == other)


def _expected(case: Case) -> str:
    if case.breaks:
        return f"a refusal with {listed(case.breaks)}"
    return "the golden row's answer" if case.golden is not None else "an answer"


def _sent(case: Case) -> str:
    if case.body is not None:
        return _shortened(case.body.decode("utf-8", "replace"))
    if case.name in ("no-message", "unknown-number"):
        return _shortened(f"bytes {case.messages[0].hex()}")
    return _shortened("; ".join(_json_line(case.method.request.FromString(each)) for each in case.messages))


def _reply_text(reply: Reply) -> str:
    return _shortened("; ".join(map(_json_line, reply.answers)) or reply.text) if reply.answered else str(reply)


def _json_line(message: Message) -> str:
    return json.dumps(_document(message))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
