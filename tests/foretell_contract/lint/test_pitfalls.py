"""Pitfalls: declarations that can be served but rarely mean what their author intended."""

from pathlib import Path

import pytest

from foretell_contract.contract import Contract, load
from foretell_contract.lint.pitfalls import pitfalls
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract


def test_iris_contract_has_no_pitfalls(contract: Contract) -> None:
    assert pitfalls(contract) == []


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("double x [(buf.validate.field).double.gte = 0]", ["reads a missing value as 0"]),
        ("int64 x [(buf.validate.field).required = true]", ["a real 0 is refused as missing"]),
        ("optional double x [(buf.validate.field).required = true]", ["accepts NaN and infinity"]),
        ("float x", ["reads a missing value as 0", "accepts NaN and infinity"]),
        ("optional double x [(buf.validate.field) = {required: true, double: {finite: true}}]", []),
        ("optional double x [(buf.validate.field) = {required: true, double: {not_in: [1]}}]", ["accepts NaN and infinity"]),
        ("optional int64 x [(buf.validate.field).required = true]", []),
    ],
)
def test_pitfall_names_its_field(tmp_path: Path, field: str, says: list[str]) -> None:
    found = pitfalls(load(write_contract(tmp_path, SERVICE, features(field), RESPONSE)))
    assert len(found) == len(says)
    for problem, words in zip(found, says, strict=True):
        assert str(problem).startswith("test.v1.Features.x ")
        assert words in str(problem)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_unbounded_double_accepts_nan_and_infinity(tmp_path: Path, value: float) -> None:
    loaded = load(
        write_contract(tmp_path, SERVICE, features("optional double x [(buf.validate.field).double.not_in = 1]"), RESPONSE)
    )
    assert loaded.rules.violations(loaded.services[0].methods[0].request(x=value)) == []
