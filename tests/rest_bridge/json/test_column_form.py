"""Batches in columns: the verdicts, the refusals and the answers of the same batch in rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from foretell_contract.contract import Contract, load
from tests.support.contract_files import write_contract
from tests.support.effort import tries
from tests.support.generated_contracts import GeneratedMessage, messages
from tests.support.iris import EXAMPLE
from tests.support.servers.contract_server import serve_contracts
from tests.support.servers.endpoint import client
from tests.support.servers.fake_channel import rpc_error
from tests.support.servers.many_models import BridgedServer

MIXED = """
service TestService { rpc PredictBatch(Many) returns (Answers); }
message Features {
  optional double x = 1 [(buf.validate.field) = {required: true, double: {gte: 0, lte: 9}}];
  optional float y = 2;
  string name = 3;
  Place place = 4;
  option (buf.validate.message).cel = {id: "order", message: "x must be at most y", expression: "!has(this.y) || this.x <= this.y"};
}
message Place { double north = 1 [(buf.validate.field).double.lte = 90]; }
message Many { repeated Features rows = 1 [(buf.validate.field).repeated = {min_items: 1, max_items: 4}]; }
message Response { optional double twice = 1; string name = 2; repeated double both = 3; int64 long = 4; }
message Answers { repeated Response answers = 1; }
"""
ROWS = [{"x": 1, "y": 2, "name": "a"}, {"x": 2.5, "y": None, "name": "b", "place": {"north": 3}}, {"x": 0}]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return load(write_contract(tmp_path_factory.mktemp("mixed"), MIXED), strict=False)


def columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


async def post(contract: Contract, body: Any, path: str = "/test.v1.TestService/PredictBatch") -> Any:
    """The status and the document of a response, from a server that answers each row by its numbers."""
    method = next(each for each in contract.services[0].methods if each.rows)

    def answer(request: bytes) -> Any:
        batch: Any = method.request.FromString(request)
        if broken := contract.rules.validate(batch, method.rows, 50).violations:
            bad = BadRequest()
            for each in broken:
                bad.field_violations.add(field=each.field, reason=each.rule, description=each.message)
            return rpc_error(grpc.StatusCode.INVALID_ARGUMENT, "x", ErrorInfo(reason="INVALID_FEATURES", domain="foretell"), bad)
        answers: list[dict[str, Any]] = [
            {"name": row.name, "both": [row.x, row.y], "long": 7} | ({"twice": 2 * row.x} if row.HasField("y") else {})
            if contract.services[0].package == "test.v1"
            else {"setosa_probability": row.petal_width, "virginica_probability": row.sepal_length}
            for row in batch.rows
        ]
        return method.response(**{method.answers.name: answers}).SerializeToString()  # type: ignore[union-attr]  # a batch has answers

    http, _ = client(contract, answer)
    async with http:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await http.post(path, content=content, headers={"content-type": "application/json"})
        document = (await http.get("/openapi.json")).json()
    if response.status_code == 200:
        schema = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator(schema | {"components": document["components"]}).validate(response.json())
    return response.status_code, response.json()


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [{"x": 3, "y": 3.5, "name": "é", "place": {}}] * 4], ids=["three", "one", "four"])
async def test_columns_are_answered_as_rows_are(mixed: Contract, rows: list[Any]) -> None:
    status, in_rows = await post(mixed, {"rows": rows})
    assert status == 200
    names = ["twice", "name", "both", "long"]
    expected = {"columns": {name: [answer.get(name) for answer in in_rows["answers"]] for name in names}}
    assert await post(mixed, {"columns": columns_of(rows)}) == (200, expected)


@pytest.mark.parametrize("count", [1, 2, 1000])
async def test_number_columns_are_answered_as_rows_are(contract: Contract, count: int) -> None:
    rows = [{name: (index + place) % 7 / 8 for place, name in enumerate(EXAMPLE)} for index in range(count)]
    _, in_rows = await post(contract, {"rows": rows}, "/predict/batch")
    status, in_columns = await post(contract, {"columns": columns_of(rows)}, "/predict/batch")
    assert (status, in_columns) == (200, {"columns": columns_of(in_rows["rows"])})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"columns": {"x": [1, None]}}, [("required", ("columns", "x", 1))], id="null"),
        pytest.param({"columns": {"x": [1, 2, 10]}}, [("double.gte_lte", ("columns", "x", 2))], id="bound"),
        pytest.param({"columns": {"x": [1, "2"]}}, [("float_type", ("columns", "x", 1))], id="type"),
        pytest.param({"columns": {"x": [1, True]}}, [("float_type", ("columns", "x", 1))], id="bool"),
        pytest.param({"columns": {"x": [1], "y": [1e39]}}, [("finite_number", ("columns", "y", 0))], id="float"),
        pytest.param(
            {"columns": {"x": [1, 1], "place": [None, {"north": 91}]}},
            [("double.lte", ("columns", "place", 1, "north"))],
            id="nested",
        ),
        pytest.param({"columns": {"x": [1, 3], "y": [1, 2]}}, [("order", ("columns", 1))], id="whole-row"),
        pytest.param({"columns": {"y": [1]}}, [("required", ("columns", "x", 0))], id="missing-column"),
        pytest.param({"columns": {"x": [1] * 5}}, [("repeated.max_items", ("columns",))], id="many"),
        pytest.param({"columns": {"x": []}}, [("repeated.min_items", ("columns",))], id="none"),
        pytest.param({"columns": {}}, [("repeated.min_items", ("columns",))], id="no-column"),
        pytest.param({"columns": {"x": [1, 2], "y": [1]}}, [("column_lengths", ("columns",))], id="ragged"),
        pytest.param({"columns": {"x": [1], "yy": [1]}}, [("unknown_field", ("columns", "yy"))], id="unknown"),
        pytest.param({"columns": {"x": 1}}, [("list_type", ("columns", "x"))], id="no-list"),
        pytest.param({"columns": [[1]]}, [("object_type", ("columns",))], id="no-object"),
        pytest.param({"columns": {"x": [1]}, "rows": [{"x": 1}]}, [("oneof_fields", ("columns",))], id="both"),
        pytest.param({"columns": {"x": [1]}, "row": 1}, [("unknown_field", ("row",))], id="beside"),
        pytest.param(b'{"columns": {"x": [1], "x": [2]}}', [("repeated_field", ("columns", "x"))], id="column-twice"),
        pytest.param(b'{"columns": {"x": [1]}, "columns": {}}', [("repeated_field", ("columns",))], id="twice"),
    ],
)
async def test_refusal_names_the_place_in_the_columns(mixed: Contract, body: Any, expected: list[Any]) -> None:
    status, refusal = await post(mixed, body)
    assert (status, [(entry["type"], tuple(entry["loc"][1:])) for entry in refusal["detail"]]) == (422, expected)


async def test_lengths_are_shown(mixed: Contract) -> None:
    _, refusal = await post(mixed, {"columns": {"x": [1, 2], "name": ["a", "b"], "y": [1]}})
    assert refusal["detail"][0]["msg"] == "must hold equally many values: name has 2, y has 1"


async def test_rows_named_columns_stay_rows(tmp_path: Path) -> None:
    contract = load(write_contract(tmp_path, MIXED.replace("rows = 1", "columns = 1")), strict=False)
    status, refusal = await post(contract, {"columns": {"x": [1]}})
    assert (status, refusal["detail"][0]["type"]) == (422, "list_type")


@pytest.mark.slow
@settings(
    deadline=None,
    max_examples=tries(2, 40),
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(st.tuples(*(messages(number) for number in range(10))))
def test_generated_columns_get_the_verdict_of_their_rows(generated: tuple[GeneratedMessage, ...]) -> None:
    with serve_contracts(generated, batch=True) as server:
        schemas = server.openapi()["components"]
        for message, service in zip(generated, server.contract.services, strict=True):
            documents = [row for row in message.documents if isinstance(row, dict)]
            tables = [in_one_order(rows) for rows in (documents, *([row] for row in documents)) if columns_of(rows)]
            assert_same_verdicts(server, service.methods[0], tables, schemas, message)


def in_one_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their names in the order of the columns: the first field of a oneof wins."""
    names = columns_of(rows)
    return [{name: row[name] for name in names if name in row} for row in rows]


def assert_same_verdicts(server: BridgedServer, method: Any, tables: Any, schemas: Any, generated: GeneratedMessage) -> None:
    in_rows = server.rest(method, [{"rows": rows} for rows in tables])
    in_columns = server.rest(method, [{"columns": columns_of(rows)} for rows in tables])
    schema = {"$ref": f"#/components/schemas/{method.input.full_name}.Columns", "components": schemas}
    for rows, first, second in zip(tables, in_rows, in_columns, strict=True):
        shown = f"{generated.declared}\n{json.dumps(rows)}\n{first.text}\n{second.text}"
        assert first.status_code == second.status_code, shown
        if first.status_code == 200:
            assert second.json() == {"columns": columns_of(first.json()["rows"])}, shown
        elif not any(kind == "unknown_field" and len(loc) == 2 for kind, loc in places(second)) and "omitted" not in first.json():
            assert places(second) == {(kind, ("columns", *loc[2:3], *loc[1:2], *loc[3:])) for kind, loc in places(first)}, shown
        if (
            generated.in_schema
            and "oneof" not in generated.declared
            and Draft202012Validator(schema).is_valid({"columns": columns_of(rows)})
        ):
            assert second.status_code == 200, shown


def places(response: Any) -> set[Any]:
    return {(entry["type"], tuple(entry["loc"][1:])) for entry in response.json()["detail"]}
