"""What a contract demands of the server of one service, as cases."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from foretell.testing.case import Broken, Case, all_broken, broken
from foretell.testing.malformed_requests import malformed_requests, unknown_on_the_wire
from foretell.testing.row_variations import RowVariation, row_variations
from foretell_contract.contract import Contract
from foretell_contract.examples.valid_row import valid_row
from foretell_contract.fields import FLOAT_TYPES, is_map, is_nested, map_entry, value_field
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.service import Method, Service, Shape
from rest_bridge.json.codec import request_example

_MOST_VIOLATIONS = 50
"""Most that a server looks for."""

_MOST_ROWS = 2_000
"""Rows of a batch beyond which its limit is not tried."""


def cases(contract: Contract, service: Service) -> Iterator[Case]:
    """The cases of each method; those of single rows where the service takes such, else as batches or streams of one row."""
    rows = {method.features.full_name: method for method in service.methods if method.shape is Shape.ROW}
    covered: set[str] = set()
    for method in sorted(service.methods, key=lambda method: method.shape is not Shape.ROW):
        row = valid_row(method.features, contract.rules)
        maker = _Maker(contract, method, rows.get(method.features.full_name))
        if row is None:
            yield maker.impossible()
            continue
        if method.shape is Shape.ROW or method.features.full_name not in covered:
            covered.add(method.features.full_name)
            yield from maker.rows(row)
        if method.shape is Shape.BATCH:
            yield from maker.batches(row)
        elif method.shape is Shape.STREAM:
            yield from maker.streams(row)


@dataclass(frozen=True, slots=True)
class _Maker:
    contract: Contract
    method: Method
    single: Method | None
    """What takes the same rows one by one."""

    def impossible(self) -> Case:
        """Nothing can be asked."""
        why = "no row was found that keeps every rule: give each field an example in the contract"
        return Case(self.method, "", "example", "a row that keeps every rule", defect=why)

    def rows(self, row: Message) -> Iterator[Case]:
        """Every edge of every field, and whatever is no row."""
        seen: set[tuple[str, str]] = set()
        for change in row_variations(row, self.contract.rules):
            if (change.place, change.name) not in seen:
                seen.add((change.place, change.name))
                yield self._judged(change.place, change.name, change.why, [change.row])
        unknown = unknown_on_the_wire(self._request([row]).SerializeToString())
        yield self._wired("unknown-number", "a field number that the contract does not have", unknown, "unknown_field")
        yield self._wired("no-message", "bytes that are no message", b"\xff", "malformed_message")
        if self.method.shape is Shape.ROW and self.method.paths:
            for misfit in malformed_requests(row):
                facts: Any = {"text": misfit.text, "breaks": frozenset([misfit.broken]), "more": misfit.more}
                yield Case(self.method, misfit.place, misfit.name, misfit.why, **facts)

    def batches(self, row: Message) -> Iterator[Case]:
        """How many rows, the place of a bad one, and the same answers as one by one."""
        yield self._judged("", "no-rows", "an empty batch", [])
        different = self._valid_changes(row)
        yield self._judged("", "several-rows", "each row is answered as it is alone", different, alone=True)
        bad = next((each for each in row_variations(row, self.contract.rules) if self._breaks([each.row])), None)
        if bad is not None:
            name = "-".join(filter(None, ("second-row", bad.place, bad.name)))
            yield self._judged("", name, f"one bad row refuses the batch, by its place: {bad.why}", [row, bad.row, row])
        most = self._most_rows()
        if most is not None and most <= _MOST_ROWS:
            yield self._judged("", "most-rows", "as many rows as there may be", [row] * most)
            yield self._judged("", "too-many-rows", "a row too many", [row] * (most + 1))

    def streams(self, row: Message) -> Iterator[Case]:
        """The same answers as one by one, and the refusal of a bad row."""
        yield self._judged("", "several-rows", "each row is answered as it is alone", self._valid_changes(row), alone=True)
        bad = next((each for each in row_variations(row, self.contract.rules) if self._breaks([each.row])), None)
        if bad is not None:
            yield self._judged("", "second-row-bad", f"a bad row ends the stream: {bad.place} {bad.name}", [row, bad.row])

    def _most_rows(self) -> int | None:
        return self.contract.rules.of(self.method.rows).values.get("max_items") if self.method.rows else None

    def _valid_changes(self, row: Message, most: int = 8) -> list[Message]:
        valid = [each.row for each in row_variations(row, self.contract.rules) if _finite(each) and not self._breaks([each.row])]
        room = min(most, self._most_rows() or most)
        return valid[:room]

    def _judged(self, place: str, name: str, why: str, rows: Sequence[Message], *, alone: bool = False) -> Case:
        """A case whose verdict is protovalidate's."""
        wire = tuple(each.SerializeToString() for each in self._messages(rows))
        text = self._text(rows) if self.method.paths else None
        facts: dict[str, Any] = {"wire": wire, "text": text}
        if alone and self.single is not None:
            facts |= {"alone": tuple(row.SerializeToString() for row in rows), "single": self.single}
        try:
            return Case(self.method, place, name, why, breaks=self._breaks(rows), **facts)
        except EvaluationError as error:
            return Case(
                self.method, place, name, why, defect=f"a rule of the contract fails on it: {' '.join(str(error).split())}", **facts
            )

    def _breaks(self, rows: Sequence[Message]) -> frozenset[Broken]:
        """Of a stream those of the first row that breaks any, which ends it."""
        for message in self._messages(rows):
            verdict = self.contract.rules.validate(message, self.method.rows, _MOST_VIOLATIONS)
            if verdict.violations:
                return all_broken(verdict.violations)
        return frozenset()

    def _messages(self, rows: Sequence[Message]) -> Sequence[Message]:
        return rows if self.method.shape is Shape.STREAM else [self._request(rows)]

    def _request(self, rows: Sequence[Message]) -> Message:
        return self.method.request(**{self.method.rows.name: rows}) if self.method.rows else rows[0]

    def _wired(self, name: str, why: str, wire: bytes, rule: str) -> Case:
        return Case(self.method, "", name, why, wire=(wire,), breaks=frozenset([broken("", rule)]))

    def _text(self, rows: Sequence[Message]) -> bytes | None:
        """None where a number is not finite, which JSON cannot say."""
        try:
            return json.dumps(request_example(self._request(rows)), allow_nan=False).encode()
        except ValueError:
            return None


def _finite(change: RowVariation) -> bool:
    return all(math.isfinite(number) for number in numbers(change.row))


def numbers(message: Any) -> Iterator[float]:
    """Every double and float in a message, however deep."""
    for field, value in message.ListFields():
        inner = map_entry(field)[1] if is_map(field) else field
        values = list(value.values()) if is_map(field) else list(value) if field.is_repeated else [value]
        if is_nested(inner):
            for each in values:
                yield from numbers(each)
        elif value_field(field).cpp_type in FLOAT_TYPES:
            yield from (each if isinstance(each, float) else each.value for each in values)
