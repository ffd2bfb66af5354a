"""Builds the test cases of a service from its contract."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from foretell.testing.case import BrokenRule, Case, broken_rule
from foretell.testing.malformed_requests import malformed_requests, with_unknown_field
from foretell.testing.row_variations import RowVariation, row_variations
from foretell_contract.contract import Contract
from foretell_contract.examples.valid_row import valid_row
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.service import Method, Service, Shape
from rest_bridge.json.codec import request_example

_MAX_VIOLATIONS = 50
"""Violations after which a server stops looking."""

_MAX_ROWS = 2_000
"""Limits of a batch above this are not tested: the requests would be too large."""

_SAME_ALONE = "each row is answered as it is alone"


def contract_cases(contract: Contract, service: Service) -> Iterator[Case]:
    """The cases of every method. Rows are tested on a method of single rows if there is one, else in a batch or stream of one."""
    row_methods = {method.features.full_name: method for method in service.methods if method.shape is Shape.ROW}
    covered: set[str] = set()
    for method in sorted(service.methods, key=lambda method: method.shape is not Shape.ROW):
        features = method.features.full_name
        row = valid_row(method.features, contract.rules)
        if row is None:
            defect = "no row was found that keeps every rule: give each field an example in the contract"
            yield Case(method, "", "example", "a row that keeps every rule", defect=defect)
            continue
        builder = _CaseBuilder(contract, method, row_methods.get(features))
        if method.shape is Shape.ROW or features not in covered:
            covered.add(features)
            yield from builder.rows(row)
        if method.shape is Shape.BATCH:
            yield from builder.batches(row)
        elif method.shape is Shape.STREAM:
            yield from builder.streams(row)


@dataclass(frozen=True, slots=True)
class _CaseBuilder:
    contract: Contract
    method: Method
    row_method: Method | None
    """The method that takes the same rows one at a time."""

    def rows(self, row: Message) -> Iterator[Case]:
        """Variations of `row`, and requests that are not rows."""
        done: set[tuple[str, str]] = set()
        for variation in row_variations(row, self.contract.rules):
            if (variation.path, variation.name) not in done:
                done.add((variation.path, variation.name))
                yield self._case(variation.path, variation.name, variation.why, [variation.row])
        unknown = with_unknown_field(self._request([row]).SerializeToString())
        yield self._bytes_case("unknown-number", "a field number that the contract does not have", unknown, "unknown_field")
        yield self._bytes_case("no-message", "bytes that are no message", b"\xff", "malformed_message")
        if self.method.shape is Shape.ROW and self.method.paths:
            yield from malformed_requests(self.method, row)

    def batches(self, row: Message) -> Iterator[Case]:
        """The number of rows, the index of an invalid row, and the same answers as for single rows."""
        yield self._case("", "no-rows", "an empty batch", [])
        yield self._case("", "several-rows", _SAME_ALONE, self._valid_variations(row), alone=True)
        bad = self._invalid_variation(row)
        if bad is not None:
            name = "-".join(filter(None, ("second-row", bad.path, bad.name)))
            yield self._case("", name, f"one invalid row refuses the batch and is named by index: {bad.why}", [row, bad.row, row])
        most = self._max_rows()
        if most is not None and most <= _MAX_ROWS:
            yield self._case("", "most-rows", "as many rows as allowed", [row] * most)
            yield self._case("", "too-many-rows", "one row more than allowed", [row] * (most + 1))

    def streams(self, row: Message) -> Iterator[Case]:
        """The same answers as for single rows, and the refusal of an invalid row."""
        yield self._case("", "several-rows", _SAME_ALONE, self._valid_variations(row), alone=True)
        bad = self._invalid_variation(row)
        if bad is not None:
            yield self._case("", "second-row-bad", f"an invalid row ends the stream: {bad.path} {bad.name}", [row, bad.row])

    def _max_rows(self) -> int | None:
        return self.contract.rules.of(self.method.rows).values.get("max_items") if self.method.rows else None

    def _valid_variations(self, row: Message, most: int = 8) -> list[Message]:
        variations = row_variations(row, self.contract.rules)
        finite = [each.row for each in variations if json_body(each.row) is not None]
        valid = [row for row in finite if not self._breaks([row])]
        return valid[: min(most, self._max_rows() or most)]

    def _invalid_variation(self, row: Message) -> RowVariation | None:
        return next((each for each in row_variations(row, self.contract.rules) if self._breaks([each.row])), None)

    def _case(self, path: str, name: str, why: str, rows: Sequence[Message], *, alone: bool = False) -> Case:
        """A case whose expected result is protovalidate's. With `alone`, the rows are also sent one at a time."""
        facts: dict[str, Any] = {
            "messages": tuple(each.SerializeToString() for each in self._messages(rows)),
            "body": json_body(self._request(rows)) if self.method.paths else None,
        }
        if alone and self.row_method is not None:
            facts |= {"rows": tuple(row.SerializeToString() for row in rows), "row_method": self.row_method}
        try:
            facts["breaks"] = self._breaks(rows)
        except EvaluationError as error:
            facts["defect"] = f"a rule of the contract fails on it: {' '.join(str(error).split())}"
        return Case(self.method, path, name, why, **facts)

    def _bytes_case(self, name: str, why: str, message: bytes, rule: str) -> Case:
        return Case(self.method, "", name, why, messages=(message,), breaks=frozenset([broken_rule("", rule)]))

    def _breaks(self, rows: Sequence[Message]) -> frozenset[BrokenRule]:
        """The rules that a request of these rows breaks; for a stream, those of the first invalid row, which ends it."""
        for message in self._messages(rows):
            violations = self.contract.rules.validate(message, self.method.rows, _MAX_VIOLATIONS).violations
            if violations:
                return frozenset(broken_rule(each.field, each.rule) for each in violations)
        return frozenset()

    def _messages(self, rows: Sequence[Message]) -> Sequence[Message]:
        return rows if self.method.shape is Shape.STREAM else [self._request(rows)]

    def _request(self, rows: Sequence[Message]) -> Message:
        return self.method.request(**{self.method.rows.name: rows}) if self.method.rows else rows[0]


def json_body(message: Message) -> bytes | None:
    """The message as JSON; None if a number is not finite, which JSON cannot express."""
    try:
        return json.dumps(request_example(message), allow_nan=False).encode()
    except ValueError:
        return None
