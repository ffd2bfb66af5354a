"""Who answers a call: by its version, its alias, or its place in a canary's share."""

import math
from dataclasses import replace

import pytest

from foretell_contract.contract import Contract
from grpc_server.calls.call import Call
from grpc_server.versions.routing import CanarySplit, RoutingTable, RoutingTarget
from tests.support.fakes import FakeRuntime, registry_of

CALLS = 10_000


@pytest.fixture
def lineup(contract: Contract) -> RoutingTable:
    """Version 7, which is production, and as a canary the same at generation 9."""
    alone = registry_of(contract, FakeRuntime()).hosts[0].lineup
    return replace(alone, canary=CanarySplit(RoutingTarget(alone.production.version, 9), 0.05))


def test_without_a_choice_the_share_of_the_canary_is_exact_to_one_percent(lineup: RoutingTable) -> None:
    assert lineup.canary is not None
    for share in (0.01, 0.05, 0.5, 0.99):
        drawn = replace(lineup, canary=replace(lineup.canary, share=share))
        calls = [Call(f"{number:016x}", None) for number in range(CALLS)]
        by_key = [Call("the same", None, {"routing-key": f"user-{number}"}) for number in range(CALLS)]
        for asked in (calls, by_key):
            taken = sum(drawn.member(call) is not drawn.production for call in asked)
            assert math.isclose(taken / CALLS, share, abs_tol=0.01)
    everything = replace(lineup, canary=replace(lineup.canary, share=1.0))
    assert all(everything.member(Call(str(number), None)).generation == 9 for number in range(100))


def test_a_routing_key_is_always_answered_alike(lineup: RoutingTable) -> None:
    def asked(key: str, identity: str) -> RoutingTarget:
        return lineup.member(Call(identity, None, {"routing-key": key}))

    keys = [f"user-{number}" for number in range(1000)]
    first = [asked(key, "a") for key in keys]
    assert first == [asked(key, "b") for key in keys]
    assert 20 < sum(member.generation == 9 for member in first) < 80


def test_who_chooses_production_by_name_is_in_no_share(lineup: RoutingTable) -> None:
    for choice in ({"model-alias": "production"}, {"model-version": "7"}, {"model-alias": "production", "model-version": "7"}):
        members = {
            lineup.member(Call(str(number), None, choice | {"routing-key": str(number)})).generation for number in range(200)
        }
        assert members == {0}
