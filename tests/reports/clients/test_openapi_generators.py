"""The OpenAPI document has the types that generators of clients need; the names in it stay when a model is added."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from foretell_contract.contract import Contract, load
from rest_bridge.json.scalars import Form
from rest_bridge.openapi.document import openapi
from rest_bridge.openapi.message_schema import Schemas
from rest_bridge.pages import ServedContract, pages
from tests.conftest import PROTOS
from tests.support.contract_files import SERVICE, WELL_KNOWN, write_contract
from tests.support.servers.fake_channel import FakeChannel

VALUES = """
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; }
message Values {
  double double = 1;
  float float = 2;
  int32 int32 = 3;
  sint32 sint32 = 4;
  uint32 uint32 = 5;
  int64 int64 = 6 [(buf.validate.field).int64.gt = 0];
  fixed64 fixed64 = 7 [(buf.validate.field).fixed64.lt = 9];
  int64 unruled = 8;
  google.protobuf.FloatValue wrapped = 9;
  repeated float items = 10;
  map<string, int32> named = 11;
  Color defined = 12 [(buf.validate.field).enum.defined_only = true];
  Color chosen = 13 [(buf.validate.field).enum = {in: [1, 2]}];
  Color open = 14;
  google.protobuf.Timestamp at = 15 [(buf.validate.field).timestamp.lt_now = true];
  repeated google.protobuf.Timestamp times = 16;
}
message Features { Values values = 1; }
message Response { Values values = 1; }
"""
DOUBLE, FLOAT, INT32, INT64 = ({"type": "number", "format": each} for each in ("double", "float", "int32", "int64"))
INT32, INT64 = INT32 | {"type": "integer"}, INT64 | {"type": "integer"}
LONG_TEXT = {"type": "string", "format": "int64"}
TIME = {"type": "string", "format": "date-time"}
NAMES = {"type": "string", "enum": ["COLOR_UNSPECIFIED", "COLOR_RED", "COLOR_BLUE"]}
TEXTS = NAMES | {"enum": [*NAMES["enum"], "red", "blue"]}


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[Form, Any]:
    """The properties of Values, by direction."""
    contract = load(write_contract(tmp_path_factory.mktemp("values"), WELL_KNOWN, SERVICE, VALUES))
    message: Any = contract.message("test.v1.Values").DESCRIPTOR
    return {form: Schemas(contract).of(message, form)["properties"] for form in Form}


# A number without a format becomes a 32-bit float in Go (oapi-codegen#1912), and an integer one of 32 bits.
# Generators refuse an enum of texts and numbers (tsoa#501, openapi-python-client#1043).
# They apply a pattern beside date-time to a date, which does not compile (openapi-generator#21452).
@pytest.mark.parametrize(
    ("field", "request_type", "response_type"),
    [
        ("double", DOUBLE, DOUBLE),
        ("float", FLOAT, FLOAT),
        ("wrapped", FLOAT, FLOAT),
        ("items", FLOAT, FLOAT),
        ("int32", INT32, INT32),
        ("sint32", INT32, INT32),
        ("named", INT32, INT32),
        ("uint32", INT64, INT64),
        ("int64", INT64, LONG_TEXT),
        ("unruled", [INT64, LONG_TEXT], LONG_TEXT),
        ("fixed64", INT64 | {"format": "uint64"}, LONG_TEXT | {"format": "uint64"}),
        ("defined", TEXTS, NAMES),
        ("chosen", TEXTS | {"enum": ["COLOR_RED", "COLOR_BLUE", "red", "blue"]}, NAMES | {"enum": ["COLOR_RED", "COLOR_BLUE"]}),
        ("open", [TEXTS, INT32], NAMES),
        ("at", TIME, TIME),
        ("times", TIME, TIME),
    ],
)
def test_value_has_a_type_for_generators(values: dict[Form, Any], field: str, request_type: Any, response_type: Any) -> None:
    for form, expected in ((Form.REQUEST, request_type), (Form.RESPONSE, response_type)):
        found = [{key: part[key] for key in ("type", "format", "enum") if key in part} for part in typed(values[form][field])]
        assert found == (expected if isinstance(expected, list) else [expected])
        assert not [part for part in typed(values[form][field]) if part.get("format") == "date-time" and "pattern" in part]


def typed(schema: Any) -> Iterator[Any]:
    """The schemas of single values within a schema, without null."""
    inner = [*schema.get("anyOf", ()), *(schema[name] for name in ("items", "additionalProperties") if name in schema)]
    for part in inner:
        yield from typed(part)
    if not inner and schema.get("type") != "null":
        yield schema


def test_every_number_of_the_document_has_a_format() -> None:
    numbers = [part for part in parts(document(load(PROTOS))) if part.get("type") in ("number", "integer")]
    assert len(numbers) > 30
    assert [part for part in numbers if "format" not in part] == []


def document(contract: Contract) -> Any:
    """The OpenAPI document of a contract and the fixed pages."""
    app, channel = FastAPI(), FakeChannel(lambda _: b"")
    app.include_router(pages(contract, channel, ServedContract(contract, channel)))
    return openapi(app, contract)


def parts(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
    for part in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from parts(part)


def contracts_of_two_models(folder: Path) -> Contract:
    """Contracts of the models `one` and `two`: both use a message that only `two` takes in a request."""
    write_contract(folder, "message Place { double x = 1; }", package="shared.v1")
    place = 'import "shared/v1/test.proto"; message {} {{ shared.v1.Place place = 1; }} message {} {{ double y = 1; }}'
    write_contract(folder, place.format("Response", "Features"), SERVICE, package="one.v1")
    write_contract(folder, place.format("Features", "Response"), SERVICE, package="two.v1")
    return load(folder)


@pytest.mark.parametrize("contracts", ["repository", "shared"])
def test_second_model_changes_no_schema(tmp_path: Path, contracts: str) -> None:
    """A generator names classes by titles, and drops the second of one title (openapi-python-client#1448)."""
    whole, model = (load(PROTOS), "iris") if contracts == "repository" else (contracts_of_two_models(tmp_path), "one")
    alone, beside = (document(each) for each in (whole.restricted_to([model]), whole))
    for part in ("paths", "components"):
        schemas = alone[part]["schemas"] if part == "components" else alone[part]
        others = beside[part]["schemas"] if part == "components" else beside[part]
        assert {name: others[name] for name in schemas} == schemas
    assert [tag for tag in beside["tags"] if tag in alone["tags"]] == alone["tags"]
    titles = [schema["title"] for schema in beside["components"]["schemas"].values()]
    assert len(titles) == len(set(titles))


def test_schema_of_a_shared_message_is_named_for_both_directions(tmp_path: Path) -> None:
    """The name is the same before the second contract exists."""
    place = 'import "shared/v1/test.proto"; message Response { shared.v1.Place place = 1; } message Features { double y = 1; }'
    write_contract(tmp_path, "message Place { double x = 1; }", package="shared.v1")
    alone = document(load(write_contract(tmp_path, place, SERVICE, package="one.v1")))["components"]["schemas"]
    assert "shared.v1.Place.Answer" in alone
    assert "one.v1.Response" in alone
