"""A valid row is found even without examples, and JSON can express it."""

import math
from pathlib import Path
from typing import Any

import pytest

from foretell_contract.contract import load
from foretell_contract.examples.valid_row import valid_row
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, features, write_contract


@pytest.mark.parametrize(
    "field",
    [
        "double x",
        "double x [(buf.validate.field).required = true]",
        "float x [(buf.validate.field) = {required: true, float: {not_in: [1]}}]",
        "double x [(buf.validate.field).double.lt = -3]",
        "double x [(buf.validate.field).double.gt = 1e7]",
    ],
)
def test_unbounded_number_is_finite(tmp_path: Path, field: str) -> None:
    contract = load(write_contract(tmp_path, SERVICE, features(field), RESPONSE))
    row: Any = valid_row(contract.services[0].methods[0].input, contract.rules)
    assert not contract.rules.violations(row)
    assert math.isfinite(row.x)


@pytest.mark.parametrize(
    "field",
    [
        "repeated double x = 1 [(buf.validate.field).repeated = {min_items: 6, unique: true}]",
        "repeated double x = 1 [(buf.validate.field).repeated = {min_items: 5, unique: true, items: {double: {gte: 0, lte: 1}}}]",
        "repeated float x = 1 [(buf.validate.field).repeated = {min_items: 2, items: {float: {lt: -1e9}}}]",
        "repeated int32 x = 1 [(buf.validate.field).repeated = {min_items: 3, unique: true, items: {int32: {gt: 5, lt: 9}}}]",
        "repeated uint64 x = 1 [(buf.validate.field).repeated = {min_items: 4, unique: true}]",
        "repeated google.protobuf.DoubleValue x = 1 [(buf.validate.field).repeated = {min_items: 2}]",
    ],
)
def test_list_gets_required_distinct_numbers(tmp_path: Path, field: str) -> None:
    contract = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, f"message Features {{ {field}; }}", RESPONSE))
    row: Any = valid_row(contract.services[0].methods[0].input, contract.rules)
    assert not contract.rules.violations(row)
    assert all(math.isfinite(getattr(number, "value", number)) for number in row.x)


@pytest.mark.parametrize(
    "field",
    [
        "repeated string x = 1 [(buf.validate.field).repeated = {min_items: 3, max_items: 3, unique: true}]",
        "repeated google.protobuf.StringValue x = 1 [(buf.validate.field).repeated = {min_items: 3, max_items: 3}]",
    ],
)
def test_list_gets_required_distinct_texts(tmp_path: Path, field: str) -> None:
    contract = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, f"message Features {{ {field}; }}", RESPONSE))
    row: Any = valid_row(contract.services[0].methods[0].input, contract.rules)
    assert not contract.rules.violations(row)
    assert len(row.x) == 3
