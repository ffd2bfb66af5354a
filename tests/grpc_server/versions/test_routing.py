"""Routing of calls by version, by alias and by a canary's share."""

import math
from dataclasses import replace

import pytest

from foretell_contract.contract import Contract
from grpc_server.calls.call import Call
from grpc_server.versions.routing import CanarySplit, Routing, RoutingTarget
from tests.support.fakes import FakeRuntime, registry_of

CALLS = 10_000


@pytest.fixture
def routing(contract: Contract) -> Routing:
    """Version 7 is production, and at generation 9 the canary too."""
    alone = registry_of(contract, FakeRuntime()).served_models[0].routing
    return replace(alone, canary=CanarySplit(RoutingTarget(alone.production.version, 9), 0.05))


def test_canary_share_is_exact_to_one_percent(routing: Routing) -> None:
    assert routing.canary is not None
    for share in (0.01, 0.05, 0.5, 0.99):
        drawn = replace(routing, canary=replace(routing.canary, share=share))
        calls = [Call(f"{number:016x}", None) for number in range(CALLS)]
        by_key = [Call("the same", None, {"routing-key": f"user-{number}"}) for number in range(CALLS)]
        for sample in (calls, by_key):
            taken = sum(drawn.target_of(call) is not drawn.production for call in sample)
            assert math.isclose(taken / CALLS, share, abs_tol=0.01)
    everything = replace(routing, canary=replace(routing.canary, share=1.0))
    assert all(everything.target_of(Call(str(number), None)).generation == 9 for number in range(100))


def test_routing_key_selects_one_version(routing: Routing) -> None:
    def target(key: str, identity: str) -> RoutingTarget:
        return routing.target_of(Call(identity, None, {"routing-key": key}))

    keys = [f"user-{number}" for number in range(1000)]
    first = [target(key, "a") for key in keys]
    assert first == [target(key, "b") for key in keys]
    assert 20 < sum(target.generation == 9 for target in first) < 80


def test_explicit_production_bypasses_canary(routing: Routing) -> None:
    for choice in ({"model-alias": "production"}, {"model-version": "7"}, {"model-alias": "production", "model-version": "7"}):
        targets = {
            routing.target_of(Call(str(number), None, choice | {"routing-key": str(number)})).generation for number in range(200)
        }
        assert targets == {0}
