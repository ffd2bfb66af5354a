"""REST takes the labels of an enum beside its names; refuses other spellings, and texts that could mean two values."""

import json
from typing import Any

import pytest

from foretell_contract.contract import Contract, load
from rest_bridge.json.codec import document_of
from rest_bridge.json.request_problems import RequestRefused
from rest_bridge.json.scalars import Form
from rest_bridge.json.strict_reader import read_document, strict_reader
from rest_bridge.openapi.message_schema import Schemas
from tests.support.contract_files import RESPONSE, SERVICE, write_contract

FEATURES = """
enum Sex { SEX_UNSPECIFIED = 0; SEX_MALE = 1; SEX_FEMALE = 2; }
enum Plan {
  PLAN_UNSPECIFIED = 0;
  PLAN_PRE_PAID = 1;
  PLAN_FLAT = 2 [(foretell.v1.label) = "Flat rate"];
  PLAN_FREE = 3 [(foretell.v1.label) = "zéro €"];
}
enum Zip {
  ZIP_UNSPECIFIED = 0;
  ZIP_00501 = 1 [(foretell.v1.label) = "00501"];
  ZIP_1 = 2 [(foretell.v1.label) = "1"];
  ZIP_7 = 3 [(foretell.v1.label) = "3"];
}
enum Odd {
  ODD_UNSPECIFIED = 0;
  ODD_A = 1 [(foretell.v1.label) = "ODD_B"];
  ODD_B = 2 [(foretell.v1.label) = "same"];
  ODD_C = 3 [(foretell.v1.label) = "same"];
  ODD_D = 4 [(foretell.v1.label) = "A"];
  ODD_E = 5 [(foretell.v1.label) = "a"];
}
message Features {
  Sex sex = 1 [(buf.validate.field).enum = {defined_only: true, not_in: 0}];
  Plan plan = 2 [(buf.validate.field).enum = {defined_only: true}];
  Zip zip = 3 [(buf.validate.field).enum = {defined_only: true}];
  Odd odd = 4 [(buf.validate.field).enum = {defined_only: true}];
  repeated Sex sexes = 5;
  map<string, Plan> plans = 6;
}
"""
SEXES = "SEX_UNSPECIFIED, SEX_MALE (male), SEX_FEMALE (female)"


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return load(write_contract(tmp_path_factory.mktemp("labels"), SERVICE, RESPONSE, FEATURES))


# Callers have lower-case values, which transcoders learned to take (grpc-httpjson-transcoding#75, golang/protobuf#614).
@pytest.mark.parametrize(
    ("field", "given", "name"),
    [
        ("sex", "male", "SEX_MALE"),
        ("sex", "SEX_FEMALE", "SEX_FEMALE"),
        ("sex", 2, "SEX_FEMALE"),
        ("plan", "pre_paid", "PLAN_PRE_PAID"),
        ("plan", "Flat rate", "PLAN_FLAT"),
        ("plan", "zéro €", "PLAN_FREE"),
        ("zip", "00501", "ZIP_00501"),
        ("zip", "1", "ZIP_1"),
        ("zip", "3", "ZIP_7"),
        ("zip", 2, "ZIP_1"),
        ("zip", 3, "ZIP_7"),
        ("odd", "ODD_B", "ODD_B"),
        ("odd", "A", "ODD_D"),
        ("odd", "a", "ODD_E"),
        ("sexes", ["male", "SEX_FEMALE"], ["SEX_MALE", "SEX_FEMALE"]),
        ("plans", {"x": "Flat rate"}, {"x": "PLAN_FLAT"}),
    ],
)
def test_label_is_read_as_its_value(contract: Contract, field: str, given: Any, name: Any) -> None:
    method = contract.services[0].methods[0]
    document = {"sex": "male", field: given}
    read = strict_reader(contract, method)(read_document(json.dumps(document).encode()))
    assert document_of(read, Form.RESPONSE)[field] == name


@pytest.mark.parametrize(
    ("field", "given", "says"),
    [
        ("sex", "Male", f'must be the name, label or number of one of {SEXES}; did you mean "SEX_MALE"?'),
        ("sex", "unspecified", f'must be the name, label or number of one of {SEXES}; did you mean "SEX_UNSPECIFIED"?'),
        ("sex", "", f"must be the name, label or number of one of {SEXES}"),
        (
            "plan",
            "flat",
            "must be the name, label or number of one of PLAN_UNSPECIFIED, PLAN_PRE_PAID (pre_paid), PLAN_FLAT (Flat rate), "
            'PLAN_FREE (zéro €); did you mean "PLAN_FLAT"?',
        ),
        ("zip", 1, 'must be a text, because "1" is the label of ZIP_1'),
        ("zip", 1.0, 'must be a text, because "1" is the label of ZIP_1'),
        (
            "odd",
            "same",
            "must be the name, label or number of one of ODD_UNSPECIFIED, ODD_A, ODD_B, ODD_C, ODD_D (A), ...",
        ),
    ],
)
def test_text_without_a_value_of_its_own_is_refused(contract: Contract, field: str, given: Any, says: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        strict_reader(contract, contract.services[0].methods[0])({"sex": "male", field: given})
    (problem,) = refused.value.problems
    assert (problem.type, problem.loc, problem.msg) == ("enum_value", ("body", field), says)


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("sex", ["SEX_MALE", "SEX_FEMALE", "male", "female"]),
        ("plan", ["PLAN_UNSPECIFIED", "PLAN_PRE_PAID", "PLAN_FLAT", "PLAN_FREE", "pre_paid", "Flat rate", "zéro €"]),
        ("odd", [*(f"ODD_{each}" for each in ("UNSPECIFIED", *"ABCDE")), "A", "a"]),
    ],
)
def test_labels_are_documented_for_requests_only(contract: Contract, field: str, texts: list[str]) -> None:
    row = contract.services[0].methods[0].input
    request, response = (Schemas(contract).of(row, form)["properties"][field] for form in (Form.REQUEST, Form.RESPONSE))
    assert request.get("anyOf", [request])[0]["enum"] == texts
    assert response["enum"] == [text for text in texts if text.isupper() and len(text) > 1]
