"""Violations of presence and bounds, for NaN too, and two contracts in one process."""

import math
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from foretell_contract.contract import Contract, load
from foretell_contract.rules.rules import Violation
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract
from tests.support.iris import EXAMPLE

RANGE = Violation("petal_width", "double.gte_lte", "must be greater than or equal to 0 and less than or equal to 1")


def features_of(contract: Contract, **values: Any) -> Message:
    return contract.services[0].methods[0].request(**values)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 5e-324, 0.5])
def test_bounds_are_inclusive(contract: Contract, value: float) -> None:
    assert contract.rules.violations(features_of(contract, **EXAMPLE | {"petal_width": value})) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.1, math.nextafter(1, 2), -5e-324, 1e308])
def test_nan_and_values_outside_break_the_range(contract: Contract, value: float) -> None:
    assert contract.rules.violations(features_of(contract, **EXAMPLE | {"petal_width": value})) == [RANGE]


def test_missing_feature_is_not_zero(contract: Contract) -> None:
    values = EXAMPLE | {"petal_width": None}
    assert contract.rules.violations(features_of(contract, **values)) == [Violation("petal_width", "required", "value is required")]


def test_violation_has_the_path_of_its_row(contract: Contract) -> None:
    batch = contract.services[0].methods[1].request(rows=[EXAMPLE, EXAMPLE | {"petal_width": 2.0, "sepal_width": None}])
    assert [(v.field, v.rule) for v in contract.rules.violations(batch)] == [
        ("rows[1].sepal_width", "required"),
        ("rows[1].petal_width", "double.gte_lte"),
    ]


def test_batch_length_is_bounded(contract: Contract) -> None:
    method = contract.services[0].methods[1]
    assert [v.rule for v in contract.rules.violations(method.request())] == ["repeated.min_items"]
    assert contract.rules.violations(method.request(rows=[EXAMPLE] * 10_000)) == []
    assert [v.rule for v in contract.rules.violations(method.request(rows=[EXAMPLE] * 10_001))] == ["repeated.max_items"]


def test_message_rule_has_an_empty_path(tmp_path: Path) -> None:
    message = """
        message Features {
          optional double x = 1;
          option (buf.validate.message).cel = {id: "small" message: "x must be small" expression: "this.x < 1.0"};
        }
    """
    loaded = load(write_contract(tmp_path, SERVICE, message, RESPONSE))
    assert loaded.rules.violations(features_of(loaded, x=2.0)) == [Violation("", "small", "x must be small")]
    assert loaded.rules.cel_messages(loaded.services[0].methods[0].input) == ("x must be small",)


def test_contracts_of_one_name_keep_own_rules(tmp_path: Path) -> None:
    at_most = "optional double x [(buf.validate.field).double.lte = {}]"
    strict = load(write_contract(tmp_path / "a", SERVICE, features(at_most.format(1)), RESPONSE))
    loose = load(write_contract(tmp_path / "b", SERVICE, features(at_most.format(9)), RESPONSE))
    for _ in range(2):
        assert [v.rule for v in strict.rules.violations(features_of(strict, x=5.0))] == ["double.lte"]
        assert loose.rules.violations(features_of(loose, x=5.0)) == []
        assert [v.rule for v in loose.rules.violations(features_of(loose, x=10.0))] == ["double.lte"]


def test_field_rules_can_be_read(contract: Contract) -> None:
    rules = contract.rules.of(contract.services[0].methods[0].input.fields_by_name["petal_width"])
    assert rules.required
    assert (rules.kind, rules.values, rules.examples) == ("double", {"gte": 0.0, "lte": 1.0}, (1.0,))


def test_vendored_rules_match_protovalidate(contract: Contract) -> None:
    """protovalidate and the vendored contract must be upgraded together."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
    from protovalidate._gen.buf.validate import validate_pb

    enforced = FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    compiled = FileDescriptorSet.FromString(contract.descriptor_set)
    (vendored,) = (file for file in compiled.file if file.name == "buf/validate/validate.proto")

    def fields(file: FileDescriptorProto) -> dict[str, set[tuple[str, int, int]]]:
        return {message.name: {(f.name, f.number, f.type) for f in message.field} for message in file.message_type}

    assert fields(vendored) == fields(enforced)
