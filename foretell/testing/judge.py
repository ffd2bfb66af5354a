"""Holds what came against what the contract demands."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from google.protobuf import json_format
from google.protobuf.message import Message

from foretell.testing.case import Came, Case, Result
from foretell.testing.cases import numbers
from foretell.testing.conformance import Conformance
from foretell_contract.contract import Contract
from foretell_contract.service import Method, Shape

_TOLERANCE = 1e-6
"""How far numbers of two answers may be apart, as golden rows have it: rows that go together are rounded otherwise."""

_SHOWN = 300


class Caller(Protocol):
    """One way into a server: `ask` gives what comes to what is sent."""

    def ask(self, method: Method, sent: Any, /) -> Came:
        """What comes."""


class Judge:
    """Puts the cases of a contract to a server."""

    def __init__(self, contract: Contract, grpc: Caller, rest: Caller | None, conformance: Conformance | None) -> None:
        """Without `rest`, or without a document to conform to, that part of each case is left out."""
        self._contract = contract
        self._grpc = grpc
        self.rest = rest
        self.conformance = conformance

    def judge(self, case: Case) -> Result:
        """Ask, and compare."""
        result = Result(case.id, case.why, _sent(case), _expected(case))
        if case.defect:
            return replace(result, faults=(case.defect,))
        if not case.wire and self.rest is None:
            return replace(result, skipped="it is for REST, and no address of REST was given")
        came: dict[str, Came] = {}
        if case.wire:
            came["gRPC"] = self._grpc.ask(case.method, case.wire)
        if case.text is not None and self.rest is not None:
            came["REST"] = _read(case.method, self.rest.ask(case.method, case.text))
        result = replace(result, came={door: _shown(each) for door, each in came.items()})
        other = next(filter(None, (each.version for each in came.values())), "")
        if case.golden is not None and other and other != case.golden.version:
            return replace(result, skipped=f"the row is on record for version {case.golden.version}, and version {other} answers")
        return replace(result, faults=tuple(self._faults(case, came)))

    def _faults(self, case: Case, came: dict[str, Came]) -> Iterator[str]:
        for door, each in came.items():
            for fault in self._of_one(case, each):
                yield f"{door}: {fault}"
        if len(came) > 1:
            yield from _parity(came["gRPC"], came["REST"])
        if case.single is not None and came["gRPC"].answered:
            yield from self._as_alone(case, case.single, came["gRPC"])
        if "REST" in came and self.conformance is not None:
            yield from self.conformance.of_case(case, came["REST"])

    def _of_one(self, case: Case, came: Came) -> Iterator[str]:
        if not case.breaks and not came.answered:
            yield f"expected an answer, came {came}"
        elif case.breaks and came.answered:
            yield f"expected a refusal with {_listed(case)}, came an answer"
        elif case.breaks and (not case.breaks <= came.broken or (came.broken != case.breaks and not case.more)):
            yield f"expected a refusal with {_listed(case)}, came {came}"
        if not came.answered:
            return
        if not came.answers:
            yield f"no {case.method.output.full_name} came with {came.status}: {came.text[:200]}"
        for answer in came.answers:
            for violation in self._contract.rules.violations(answer):
                yield f"the answer breaks {violation.rule} at {violation.field or 'the whole'}: {violation.message}"
            if not all(map(math.isfinite, numbers(answer))):
                yield "the answer holds a number that is not finite"
            if case.golden is not None:
                yield from _off_the_record(case.golden.parts, answer)

    def _as_alone(self, case: Case, single: Method, together: Came) -> Iterator[str]:
        """A row is answered as it is alone."""
        rows = together.answers if case.method.shape is Shape.STREAM else tuple(_rows(case.method, together.answers))
        if len(rows) != len(case.alone):
            yield f"gRPC: {len(case.alone)} rows, but {len(rows)} answers"
            return
        for place, (row, answer) in enumerate(zip(case.alone, rows, strict=True)):
            alone = self._grpc.ask(single, (row,))
            found = _difference(_document(alone.answers[0]), _document(answer)) if alone.answers else f"alone it is {alone}"
            if found:
                yield f"gRPC: row {place} is answered otherwise than alone: {found}"


def _rows(method: Method, answers: tuple[Message, ...]) -> Iterator[Message]:
    for answer in answers:
        yield from getattr(answer, method.answers.name) if method.answers else ()


def _read(method: Method, came: Came) -> Came:
    """With the message that the document of an answer is, if it is one."""
    if not came.answered:
        return came
    try:
        return replace(came, answers=(json_format.ParseDict(came.document, method.response()),))
    except (json_format.ParseError, TypeError, AttributeError) as error:
        return replace(came, text=f"{' '.join(str(error).split())}: {came.text}")


def _parity(grpc: Came, rest: Came) -> Iterator[str]:
    if grpc.answered != rest.answered:
        yield f"the doors differ: gRPC gives {grpc}, REST {rest}"
    elif grpc.answers and rest.answers:
        found = _difference(_document(grpc.answers[0]), _document(rest.answers[0]))
        if found:
            yield f"the doors differ, gRPC first: {found}"
    elif set(grpc.problems) != set(rest.problems):
        words = [sorted(f"{each.broken}: {each.text}" for each in came.problems) for came in (grpc, rest)]
        yield f"the doors differ: gRPC says {words[0]}, REST {words[1]}"
    if grpc.version and rest.version and grpc.version != rest.version:
        yield f"the doors differ: version {grpc.version} answers over gRPC, version {rest.version} over REST"


def _off_the_record(parts: dict[str, Any], answer: Message) -> Iterator[str]:
    expected = _document(type(answer)(**parts))
    given = _document(answer)
    for name in parts:
        found = _difference(expected.get(name), given.get(name), name)
        if found:
            yield f"the answer is not that on record, which is first: {found}"


def _document(message: Message) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _difference(one: Any, other: Any, place: str = "") -> str:
    """Where two documents differ by more than rounding; empty where they do not."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return next(filter(None, (_difference(one[key], other[key], f"{place}.{key}".lstrip(".")) for key in one)), "")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next(filter(None, (_difference(*pair, f"{place}[{index}]") for index, pair in pairs)), "")
    if isinstance(one, float | int) and isinstance(other, float | int) and not isinstance(one, bool):
        alike = abs(one - other) <= _TOLERANCE * max(1.0, abs(one))
    else:
        alike = one == other
    return "" if alike else f"{place or 'the whole'} is {one!r} and {other!r}"


def _listed(case: Case) -> str:
    return ", ".join(sorted(map(str, case.breaks)))


def _expected(case: Case) -> str:
    return f"a refusal with {_listed(case)}" if case.breaks else "the answer on record" if case.golden else "an answer"


def _sent(case: Case) -> str:
    """The request as people read it, shortened."""
    if case.text is not None:
        shown = case.text.decode("utf-8", "replace")
    elif case.name in ("no-message", "unknown-number"):
        shown = f"bytes {case.wire[0].hex()}"
    else:
        shown = "; ".join(_line(case.method.request.FromString(each)) for each in case.wire)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _line(message: Message) -> str:
    return json.dumps(_document(message))


def _shown(came: Came) -> str:
    if not came.answered:
        return str(came)
    shown = "; ".join(map(_line, came.answers)) or came.text
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
