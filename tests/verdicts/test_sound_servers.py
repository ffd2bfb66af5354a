"""`foretell test` reports no failure on a server that keeps its contract, whatever the contract."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from foretell.testing.callers import GrpcCaller, open_channel
from foretell.testing.contract_cases import contract_cases
from foretell.testing.openapi_conformance import OpenApiConformance
from foretell.testing.verifier import Verifier
from foretell_contract.contract import Contract
from foretell_contract.service import Service
from rest_bridge.json.codec import Codec
from rest_bridge.json.request_problems import RequestProblems
from tests.support.effort import tries
from tests.support.generated_contracts import GeneratedMessage, messages
from tests.support.servers.bridge_caller import BridgeCaller
from tests.support.servers.contract_server import serve_contracts

pytestmark = pytest.mark.slow

CONTRACTS = 10


def accepted(contract: Contract, service: Service, document: Any) -> bool:
    problems = RequestProblems()
    message = Codec(service.methods[0].input, contract.rules).read(document, problems)
    return not problems.count and not contract.rules.violations(message)


@settings(
    deadline=None,
    max_examples=tries(10, 500) // CONTRACTS,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(st.tuples(*(messages(number) for number in range(CONTRACTS))))
def test_sound_server_passes_every_check(generated: tuple[GeneratedMessage, ...]) -> None:
    with serve_contracts(generated) as server, open_channel(server.address) as channel:
        verifier = Verifier(server.contract, GrpcCaller(channel), BridgeCaller(server), OpenApiConformance(server.openapi()))
        for message, service in zip(generated, server.contract.services, strict=True):
            results = [verifier.verify(case) for case in contract_cases(server.contract, service)]
            if results[0].failures:  # No row can keep some generated rules.
                assert not any(accepted(server.contract, service, document) for document in message.documents), message.declared
                continue
            assert len(results) > 5
            failed = [result for result in results if result.failures]
            assert not failed, (message.declared, failed)
