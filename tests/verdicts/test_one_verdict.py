"""Whatever a contract says and a caller sends: gRPC, REST, the published schema and protovalidate give one verdict.

A few contracts in each run; `HYPOTHESIS_PROFILE=thorough python -m pytest -n 0 tests/verdicts` tries 500 of them.
"""

import json
from typing import Any

import grpc
from google.protobuf import json_format
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from foretell_contract.service import Service
from rest_bridge.json.codec import Codec
from rest_bridge.json.request_problems import RequestProblems
from tests.support.effort import tries
from tests.support.generated_contracts import LONG, Row, rows
from tests.support.servers.contract_server import hosted
from tests.support.servers.grpc_in_process import violations
from tests.support.servers.many_models import BridgedServer

CONTRACTS = 10
"""In one file, because compiling costs more than all else."""


@settings(
    deadline=None,
    max_examples=tries(20, 500) // CONTRACTS,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(st.tuples(*(rows(number) for number in range(CONTRACTS))))
def test_every_door_and_the_schema_give_the_verdict_of_protovalidate(made: tuple[Row, ...]) -> None:
    with hosted(made) as server:
        schemas = server.openapi()["components"]
        for row, service in zip(made, server.contract.services, strict=True):
            judge(server, service, row, schemas)


def judge(server: BridgedServer, service: Service, row: Row, schemas: Any) -> None:
    (method,) = service.methods
    rules = server.contract.rules
    schema = {"$ref": f"#/components/schemas/{method.input.full_name}", "components": schemas}
    validator = Draft202012Validator(schema)
    codec = Codec(method.input, rules)
    responses = server.rest(method, row.documents)
    for document, response in zip(row.documents, responses, strict=True):
        where = f"{row.declared}\n{json.dumps(document)}\n{response.status_code} {response.text}"
        problems = RequestProblems()
        message: Any = codec.read(document, problems)
        broken = rules.violations(message)
        fine = not problems.count and not broken
        assert response.status_code == (200 if fine else 422), where
        if not problems.count:
            too_long = any(violation.rule == "repeated.max_items" for violation in broken)  # Then not all is read.
            assert too_long or message == json_format.ParseDict(document, method.request()), where
            (answer,) = server.grpc(method, [message])
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
