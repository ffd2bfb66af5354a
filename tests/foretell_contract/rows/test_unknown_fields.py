"""Unknown fields and invalid times are found at any depth, with their paths."""

from typing import Any

import pytest

from foretell_contract.contract import Contract, load
from foretell_contract.rows.unknown_fields import UnknownFields
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract

FEATURES = """
message In { double x = 1; }
message Features {
  In inside = 1; map<string, In> named = 2; map<int32, In> numbered = 3; repeated In parts = 4;
  google.protobuf.Timestamp at = 5; google.protobuf.Duration took = 6; double other = 7;
}
"""
UNKNOWN = b"\x48\x01"  # Field 9 is 1.


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return load(write_contract(tmp_path_factory.mktemp("unknown"), WELL_KNOWN, SERVICE, RESPONSE, FEATURES))


def found(contract: Contract, message: Any) -> list[tuple[str, str]]:
    return [(violation.field, violation.rule) for violation in UnknownFields(message.DESCRIPTOR).violations(message)]


@pytest.mark.parametrize(
    ("build", "path"),
    [
        (lambda row: row, ""),
        (lambda row: row.inside, "inside"),
        (lambda row: row.named["a"], 'named["a"]'),
        (lambda row: row.numbered[-3], "numbered[-3]"),
        (lambda row: row.parts.add() and row.parts.add(), "parts[1]"),
        (lambda row: row.at, "at"),
    ],
)
def test_unknown_field_is_reported_with_its_path(contract: Contract, build: Any, path: str) -> None:
    row: Any = contract.services[0].methods[0].request()
    build(row).MergeFromString(UNKNOWN)
    assert found(contract, row) == [(path, "unknown_field")]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ({"at": {"seconds": -62_135_596_800}}, None),
        ({"at": {"seconds": 253_402_300_799, "nanos": 999_999_999}}, None),
        ({"at": {"seconds": 253_402_300_800}}, "timestamp_format"),
        ({"at": {"seconds": -(2**62)}}, "timestamp_format"),
        ({"at": {"nanos": -1}}, "timestamp_format"),
        ({"at": {"nanos": 10**9}}, "timestamp_format"),
        ({"took": {"seconds": -1, "nanos": -1}}, None),
        ({"took": {"seconds": 1, "nanos": -1}}, "duration_format"),
        ({"took": {"seconds": 2**60}}, "duration_format"),
        ({}, None),
    ],
)
def test_time_out_of_range_is_reported(contract: Contract, value: Any, rule: str | None) -> None:
    row = contract.services[0].methods[0].request(**value)
    assert found(contract, row) == ([(next(iter(value)), rule)] if rule else [])
