"""`foretell test` on servers whose refusals count what they do not list."""

import pytest

from foretell.testing.callers import GrpcCaller, open_channel
from foretell.testing.case import Reply, broken_rule
from foretell.testing.contract_cases import contract_cases
from foretell.testing.verifier import Verifier
from tests.support.generated_contracts import GeneratedMessage
from tests.support.servers.bridge_caller import BridgeCaller
from tests.support.servers.contract_server import serve_contracts


def wide(count: int, name: str = "f", rule: str = "required = true") -> GeneratedMessage:
    fields = [f"  optional double {name}_{number} = {number + 1} [(buf.validate.field).{rule}];" for number in range(count)]
    return GeneratedMessage("Wide", "message Wide {\n" + "\n".join(fields) + "\n}\n", [], in_schema=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "message",
    [
        pytest.param(wide(50), id="all-listed"),
        pytest.param(wide(51), id="one-counted"),
        pytest.param(wide(120), id="most-counted"),
        pytest.param(wide(50, "f" * 60), id="bytes"),
        pytest.param(wide(80, rule="double = {gte: 1, lte: 2}"), id="bounds"),
    ],
)
def test_right_server_passes(message: GeneratedMessage) -> None:
    with serve_contracts([message]) as server, open_channel(server.address) as channel:
        verifier = Verifier(server.contract, GrpcCaller(channel), BridgeCaller(server), None)
        cases = [case for case in contract_cases(server.contract, server.contract.services[0]) if not case.path]
        results = {case.name: verifier.verify(case) for case in cases}
    assert {name: result.failures for name, result in results.items() if result.failures} == {}
    assert len(results["empty"].expected) < 5_000


RULES = frozenset(broken_rule(f"f_{number}", "required") for number in range(60))
FIRST = tuple((rule, "value is required") for rule in sorted(RULES))


@pytest.mark.parametrize(
    ("problems", "omitted", "right"),
    [
        (FIRST, 0, True),
        (FIRST[:50], 10, True),
        (FIRST[:50], 0, False),
        (FIRST[:50], 9, False),
        ((*FIRST[:49], (broken_rule("other", "required"), "")), 11, False),
    ],
    ids=["all", "counted", "uncounted", "miscounted", "another"],
)
def test_count_completes_the_list(problems: tuple[tuple[object, str], ...], omitted: int, right: bool) -> None:
    assert Reply("INVALID_ARGUMENT", problems=problems, omitted=omitted).reports(RULES) == right  # type: ignore[arg-type]
