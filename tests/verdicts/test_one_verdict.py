"""Whatever a contract says and a caller sends: gRPC, REST, the published schema and protovalidate give one verdict.

A few contracts in each run; `HYPOTHESIS_PROFILE=thorough python -m pytest -n 0 tests/verdicts` tries 500 of them.
"""

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contract.columns import leaves
from contract.contract import Contract, load
from contract.fields import Kind
from contract.service import Service
from grpc_server.batcher import Batcher
from grpc_server.binding import Binding
from grpc_server.cost import Cost, Placement
from grpc_server.model import Model
from grpc_server.names import Target
from grpc_server.outputs import Output
from grpc_server.table import PLAIN, Dtype, Rows
from rest_bridge.codec import Codec
from rest_bridge.problem import Problems
from tests.estimators.served import Served, serving
from tests.fakes import MANIFEST, hosting
from tests.grpc_server.serving import violations
from tests.verdicts.generated import LONG, Row, rows

CONTRACTS = 10
"""In one file, because compiling costs more than all else."""

settings.register_profile("thorough", max_examples=500 // CONTRACTS)
EXAMPLES = 500 // CONTRACTS if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 5

HEAD = """
syntax = "proto3";
package made.v1;
import "buf/validate/validate.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; }
message Response { double value = 1; }
"""


def dtype(kind: Kind) -> Dtype:
    return Dtype("object") if kind in (Kind.TEXT, Kind.BYTES) else PLAIN


def model(contract: Contract, service: Service) -> Model:
    """A model of just the columns that the contract makes, which answers every row with how many columns that has."""
    found = leaves(service.methods[0].features, contract.rules, contract.options)
    columns = [column for leaf in found for column in leaf.columns]
    dtypes = [
        dtype(leaf.kind) if leaf.keys == (None,) or leaf.kind is Kind.TEXT else _spread(leaf)
        for leaf in found
        for _ in leaf.columns
    ]
    facts: Any = {"dtypes": dtypes, "targets": (Target("", ()),), "offered": (Output("value"),)}
    bindings = {method.name: Binding(contract, method, columns, (), **facts) for method in service.methods}

    def predict(given: Rows) -> Any:
        width = given.shape[1] if isinstance(given, np.ndarray) else len(given.columns)
        assert width == len(columns)
        return np.full((len(given), 1), float(width))

    batcher = Batcher([predict], max_rows=64, max_waiting=10_000, inline=True)
    cost = Cost(0.0001, math.inf)
    return Model(service.model, "1", MANIFEST, service, bindings, batcher, cost, Placement.INLINE, workers=1)


def _spread(leaf: Any) -> Dtype:
    """Bytes of a fixed length are numbers; bytes in a list are not."""
    return PLAIN if leaf.kind is Kind.BYTES and leaf.spread.value == "octets" else dtype(leaf.kind)


@settings(
    deadline=None,
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(st.tuples(*(rows(number) for number in range(CONTRACTS))))
def test_every_door_and_the_schema_give_the_verdict_of_protovalidate(made: tuple[Row, ...]) -> None:
    services = [f"service S{row.name} {{ rpc Predict({row.name}) returns (Response); }}\n" for row in made]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "made/v1/made.proto"
        file.parent.mkdir(parents=True)
        file.write_text(HEAD + "".join(row.declared for row in made) + "".join(services))
        contract, theirs = load(Path(folder)), load(Path(folder))
    registry = hosting(contract, [model(contract, service) for service in contract.services])
    with serving(registry, theirs) as doors:
        schemas = doors.openapi()["components"]
        for row, service in zip(made, theirs.services, strict=True):
            judge(doors, service, row, schemas)


def judge(doors: Served, service: Service, row: Row, schemas: Any) -> None:
    (method,) = service.methods
    rules = doors.contract.rules
    schema = {"$ref": f"#/components/schemas/{method.input.full_name}", "components": schemas}
    validator = Draft202012Validator(schema)
    codec = Codec(method.input, rules)
    responses = doors.rest(method, row.documents)
    for document, response in zip(row.documents, responses, strict=True):
        where = f"{row.declared}\n{json.dumps(document)}\n{response.status_code} {response.text}"
        problems = Problems()
        message: Any = codec.read(document, problems)
        broken = rules.violations(message)
        fine = not problems.count and not broken
        assert response.status_code == (200 if fine else 422), where
        if not problems.count:
            too_long = any(violation.rule == "repeated.max_items" for violation in broken)  # Then not all is read.
            assert too_long or message == json_format.ParseDict(document, method.request()), where
            (answer,) = doors.grpc(method, [message])
            if fine:
                assert answer.value == response.json()["value"], where
            else:
                assert isinstance(answer, grpc.aio.AioRpcError), where
                assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT, where
                told = [(entry["type"], entry["msg"]) for entry in response.json()["detail"]]
                assert told == [(rule, text) for _, rule, text in violations(answer)], where
        shown = validator.is_valid(document)
        text_of_a_long = any(kind in row.declared for kind in (*LONG, "Int64Value")) and '"' in json.dumps(document)
        assert shown or not fine or text_of_a_long, (where, schema["components"]["schemas"][method.input.full_name])
        assert fine or not shown or not row.told, (where, schema["components"]["schemas"][method.input.full_name])


@pytest.mark.parametrize("name", ["thorough"])
def test_the_thorough_profile_tries_five_hundred_contracts(name: str) -> None:
    assert settings.get_profile(name).max_examples * CONTRACTS == 500
