"""The test kit finds nothing on a sound server, whatever the contract says."""

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from foretell.testing.callers import GrpcCaller, Reply, came, open_channel
from foretell.testing.case import Came
from foretell.testing.cases import cases
from foretell.testing.conformance import Conformance
from foretell.testing.judge import Judge
from foretell_contract.contract import Contract
from foretell_contract.service import Method, Service
from rest_bridge.json.codec import Codec
from rest_bridge.json.request_problems import RequestProblems
from tests.support.effort import tries
from tests.support.generated_contracts import Row, rows
from tests.support.servers.contract_server import hosted
from tests.support.servers.many_models import BridgedServer

CONTRACTS = 10


class Bridge:
    """Sends REST requests to the bridge in this process, without a port."""

    def __init__(self, server: BridgedServer) -> None:
        self._doors = server

    def ask(self, method: Method, sent: Any) -> Came:
        (response,) = self._doors.rest(method, [sent])
        return came(Reply(response.status_code, response.content, dict(response.headers)))


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
@given(st.tuples(*(rows(number) for number in range(CONTRACTS))))
def test_a_sound_server_passes(made: tuple[Row, ...]) -> None:
    with hosted(made) as server, open_channel(server.address, None, tls=False) as channel:
        judge = Judge(server.contract, GrpcCaller(channel), Bridge(server), Conformance(server.openapi()))
        for row, service in zip(made, server.contract.services, strict=True):
            results = [judge.judge(case) for case in cases(server.contract, service)]
            if results[0].faults:  # Rules may be made up that no row can keep.
                assert not any(accepted(server.contract, service, document) for document in row.documents), row.declared
                continue
            assert len(results) > 5
            failed = [result for result in results if result.faults]
            assert not failed, (row.declared, failed)
