"""gRPC, REST and the published JSON Schema accept and refuse the same requests as protovalidate, for generated contracts.

Each run tries a few contracts; `HYPOTHESIS_PROFILE=thorough python -m pytest -n 0 tests/verdicts` tries 500.
"""

import json
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from foretell_contract.service import Service
from rest_bridge.json.codec import Codec, request_example
from rest_bridge.json.request_problems import RequestProblems
from tests.support.effort import tries
from tests.support.generated_contracts import LONG, GeneratedMessage, messages
from tests.support.servers.contract_server import serve_contracts
from tests.support.servers.grpc_in_process import violations
from tests.support.servers.many_models import BridgedServer

pytestmark = pytest.mark.slow

CONTRACTS = 10
"""Messages in one contract file: compiling takes most of the time."""


@settings(
    deadline=None,
    max_examples=tries(20, 500) // CONTRACTS,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(st.tuples(*(messages(number) for number in range(CONTRACTS))))
def test_all_interfaces_agree_with_protovalidate(generated: tuple[GeneratedMessage, ...]) -> None:
    with serve_contracts(generated) as server:
        schemas = server.openapi()["components"]
        for message, service in zip(generated, server.contract.services, strict=True):
            assert_agreement(server, service, message, schemas)


def assert_agreement(server: BridgedServer, service: Service, generated: GeneratedMessage, schemas: Any) -> None:
    (method,) = service.methods
    rules = server.contract.rules
    schema = {"$ref": f"#/components/schemas/{method.input.full_name}", "components": schemas}
    validator = Draft202012Validator(schema)
    codec = Codec(method.input, rules)
    responses = server.rest(method, generated.documents)
    for document, response in zip(generated.documents, responses, strict=True):
        shown = f"{generated.declared}\n{json.dumps(document)}\n{response.status_code} {response.text}"
        problems = RequestProblems()
        message: Any = codec.read(document, problems)
        broken = rules.violations(message)
        valid = not problems.count and not broken
        assert response.status_code == (200 if valid else 422), shown
        if not problems.count:
            too_long = any(violation.rule == "repeated.max_items" for violation in broken)  # The codec then stops reading.
            assert too_long or message == json_format.ParseDict(document, method.request()), shown
            (answer,) = server.grpc(method, [message])
            if valid:
                assert answer.value == response.json()["value"], shown
            else:
                assert isinstance(answer, grpc.aio.AioRpcError), shown
                assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT, shown
                listed = [(entry["type"], entry["msg"]) for entry in response.json()["detail"]]
                assert listed == [(rule, text) for _, rule, text in violations(answer)], shown
        fits_schema = validator.is_valid(document)
        message_schema = schema["components"]["schemas"][method.input.full_name]
        long_as_text = any(kind in generated.declared for kind in (*LONG, "Int64Value")) and '"' in json.dumps(document)
        assert not valid or validator.is_valid(request_example(message)), (shown, message_schema)
        assert fits_schema or not valid or long_as_text or "Color" in generated.declared, (shown, message_schema)
        assert valid or not fits_schema or not generated.in_schema, (shown, message_schema)
