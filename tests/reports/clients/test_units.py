"""The unit of a field is in OpenAPI, in its description and in refusals; `init` drafts it; a change of it breaks callers."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from google.protobuf import json_format
from sklearn.linear_model import LinearRegression

from foretell.init.draft_features import PackageNames, draft_feature
from foretell_contract.contract import Contract, load
from foretell_contract.diff.diff import diff
from foretell_contract.source.spelling import Names
from grpc_server.checks.training_columns import Column
from grpc_server.rows.mixed_rows import Dtype
from rest_bridge.json.scalars import Form
from rest_bridge.openapi.message_schema import Schemas
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract
from tests.support.servers.drafted_models import init

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


STATED = {
    "sepal length (cm)": "cm", "price [EUR]": "EUR", "площадь, м²": "м²", "speed (km/h)": "km/h", "dose (µg/m³)": "µg/m³",
    "area (m^2)": "m^2", "weight_kg": "kg", "weight_in_kg": "kg", "Price_EUR": "EUR", "max_celsius": "°C", "duration_seconds": "s",
}  # fmt: skip
UNSURE = [
    "price_per_kg", "load_g_cm", "kg", "_kg", "temperature (min)", "salary (K)", "log weight (kg)", "log(kg)", "rate (1/s)",
    "x (cm) of y", "size (large)", "answer (yes/no)",
]  # fmt: skip


@pytest.mark.parametrize("name", [*STATED, *UNSURE])
def test_unit_is_drafted_only_where_the_name_is_plain(name: str) -> None:
    line, _ = draft_feature(Column(name, Dtype(), (1.5, 7.5), example=1.5), 1, Names(), PackageNames(), outliers=False)
    assert dict(line.options).get("(foretell.v1.unit)") == (f'"{STATED[name]}"' if name in STATED else None)


@pytest.mark.parametrize(
    "column",
    [
        Column("currency_EUR", Dtype("int64"), (0, 1, 1)),
        Column("lamp_kW", Dtype("bool"), (True, False)),
        Column("kind (cm)", Dtype("object"), ("a", "b")),
        Column("time (s)", Dtype("timedelta64[us]"), (1.0, 2.0)),
    ],
    ids=lambda column: column.name,
)
def test_flags_texts_and_durations_have_no_unit(column: Column) -> None:
    line, _ = draft_feature(column, 1, Names(), PackageNames(), outliers=False)
    assert "(foretell.v1.unit)" not in dict(line.options)


def test_drafted_unit_is_in_openapi(tmp_path: Path) -> None:
    frame = pd.DataFrame({"length (cm)": [1.0, 2.0, 3.0], "weight_kg": [10, 20, 40], "plain": [1.0, 5.0, 9.0]})
    frame.to_csv(tmp_path / "data.csv", index=False)
    assert init(tmp_path, "m", LinearRegression().fit(frame, [1.0, 2.0, 3.0]), "--data", tmp_path / "data.csv").exit_code == 0
    drafted = load(tmp_path / "protos")
    shown = Schemas(drafted).of(drafted.services[0].methods[0].input, Form.REQUEST)["properties"]
    assert {name: field.get("x-unit") for name, field in shown.items()} == {"length_cm": "cm", "weight_kg": "kg", "plain": None}
    assert "Unit: cm." in shown["length_cm"]["description"]
