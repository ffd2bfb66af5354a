"""The unit of a field is in OpenAPI, in its description and in refusals of numbers; a change of it breaks callers."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from foretell_contract.contract import Contract, load
from foretell_contract.diff.diff import diff
from rest_bridge.json.scalars import Form
from rest_bridge.openapi.message_schema import Schemas
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract

FIELDS = """
message Part { double depth = 1 [(foretell.v1.unit) = "mm", (buf.validate.field).double.lt = 9]; }
message Features {
  // How long.
  optional double length = 1 [(foretell.v1.unit) = "cm", (buf.validate.field) = {required: true, double: {gte: 0, lte: 30}}];
  uint32 days = 2 [(foretell.v1.unit) = "d", (buf.validate.field).uint32.in = 7];
  google.protobuf.FloatValue weight = 3 [(foretell.v1.unit) = "kg", (buf.validate.field).float.gt = 0];
  repeated double heights = 4 [(foretell.v1.unit) = "m", (buf.validate.field).repeated = {max_items: 2, items: {double: {lt: 5}}}];
  map<string, double> widths = 5 [(foretell.v1.unit) = "°", (buf.validate.field).map.values.double.lt = 5];
  repeated Part parts = 6;
  map<string, Part> named = 7;
  double bare = 8 [(buf.validate.field).double.lt = 5];
}
"""


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return load(write_contract(tmp_path_factory.mktemp("units"), WELL_KNOWN, SERVICE, RESPONSE, FIELDS))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"length": 31}, "length: must be greater than or equal to 0 and less than or equal to 30 (cm)"),
        ({}, "length: value is required"),
        ({"days": 8}, "days: must be in list [7] (d)"),
        ({"weight": -1}, "weight: must be greater than 0 (kg)"),
        ({"heights": [1, 6]}, "heights[1]: must be less than 5 (m)"),
        ({"heights": [1, 2, 3]}, "heights: must contain no more than 2 item(s)"),
        ({"widths": {"a": 6}}, 'widths["a"]: must be less than 5 (°)'),
        ({"parts": [{"depth": 10}]}, "parts[0].depth: must be less than 9 (mm)"),
        ({"named": {"a": {"depth": 10}}}, 'named["a"].depth: must be less than 9 (mm)'),
        ({"bare": 6}, "bare: must be less than 5"),
    ],
)
def test_refusal_of_a_number_names_its_unit(contract: Contract, document: Any, says: str) -> None:
    method = contract.services[0].methods[0]
    message = json_format.ParseDict(({"length": 1, "days": 7} if document else {"days": 7}) | document, method.request())
    assert [f"{each.field}: {each.message}" for each in contract.rules.violations(message)] == [says]


@pytest.mark.parametrize(("field", "unit"), [("length", "cm"), ("days", "d"), ("weight", "kg"), ("widths", "°"), ("bare", None)])
def test_unit_is_documented(contract: Contract, field: str, unit: str | None) -> None:
    row = contract.services[0].methods[0].input
    for form in (Form.REQUEST, Form.RESPONSE):
        shown = Schemas(contract).of(row, form)["properties"][field]
        assert shown.get("x-unit") == unit
        assert (f"Unit: {unit}." in shown.get("description", "")) is (unit is not None)


@pytest.mark.parametrize(("old", "new", "breaks"), [("cm", "mm", True), ("d", "h", True), ("kg", "g", True), ("cm", "", False)])
def test_change_of_a_unit_breaks_callers(contract: Contract, tmp_path: Path, old: str, new: str, breaks: bool) -> None:
    option = f'(foretell.v1.unit) = "{old}"'
    changed = FIELDS.replace(option, option.replace(old, new) if new else "deprecated = false")
    found = diff(contract, load(write_contract(tmp_path, WELL_KNOWN, SERVICE, RESPONSE, changed)))
    assert [finding.breaks for finding in found] == [breaks]
