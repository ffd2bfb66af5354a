"""Route changes under load: no call fails, and each answer comes from the version that it names.

Each run makes a few changes; `HYPOTHESIS_PROFILE=thorough python -m pytest -n 0 tests/e2e/test_rollouts.py` makes a hundred
promotions and rollbacks with more callers, and sends ten thousand routing keys over gRPC and REST.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest

from foretell.versions.target import response_type
from foretell_contract.contract import Contract
from grpc_server.changes.convergence import Servers
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import RouteTable
from grpc_server.store.route_table_files import RouteTableFiles
from tests.support.effort import THOROUGH, tries
from tests.support.iris import EXAMPLE
from tests.support.models import candidates
from tests.support.models.candidates import AUTHOR, add, add_steady, change, golden, promote, rollback
from tests.support.processes import NO_TLS, Foretell, foretell, grpc_server

pytestmark = pytest.mark.slow

GRPC_CALLERS, REST_CALLERS = (8, 4) if THOROUGH else (2, 1)
PAUSE = 0 if THOROUGH else 0.001
"""Seconds between two calls of a caller; without a pause, the callers would take all cores from the loading version."""
ROUNDS = {"inline": tries(3, 99), "process": tries(1, 99)}
KEYS = tries(200, 10_000)


@dataclass
class Load:
    """What endless callers received."""

    answers: set[tuple[int, str, int]] = field(default_factory=set)
    """Percent of setosa, version, generation."""
    count: int = 0
    failures: list[BaseException] = field(default_factory=list)

    def note(self, setosa: float, labels: Any) -> None:
        self.answers.add((round(setosa * 100), labels["model-version"], int(labels["model-generation"])))
        self.count += 1


@contextmanager
def load(running: Foretell, contract: Contract) -> Iterator[Load]:
    """Load on gRPC and REST; each caller sends its next request soon after the last reply."""
    received, stop = Load(), threading.Event()
    method = contract.services[0].methods[0]
    request = method.request(**EXAMPLE).SerializeToString()

    def over_grpc() -> None:
        with grpc.insecure_channel(running.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            predict = channel.unary_unary(method.path, response_deserializer=method.response.FromString)
            while not stop.wait(PAUSE):
                answer, call = predict.with_call(request, timeout=30)
                received.note(answer.setosa_probability, dict(call.trailing_metadata()))

    def over_rest() -> None:
        with httpx2.Client(base_url=running.http, timeout=30) as http:
            while not stop.wait(PAUSE):
                answer = http.post("/predict", json=EXAMPLE).raise_for_status()
                received.note(answer.json()["setosa_probability"], answer.headers)

    with ThreadPoolExecutor(GRPC_CALLERS + REST_CALLERS) as pool:
        callers = [pool.submit(caller) for caller in [over_grpc] * GRPC_CALLERS + [over_rest] * REST_CALLERS]
        try:
            yield received
        finally:
            stop.set()
            received.failures += [error for caller in callers if (error := caller.exception(60)) is not None]


def followed(running: Foretell, routes: RouteTable) -> str:
    """The outcome of the last route change on the server."""
    servers = Servers(None, running.grpc, response_type())
    return servers.wait_for("iris", routes.generation, routes.history[-1].after, lambda gate: None).outcome


def check(received: Load, root: Path) -> None:
    """No failure; each answer comes from the version that it names, which was production in the generation that it names."""
    assert received.failures == []
    production, by_generation = "1", {}
    for step in RouteTableFiles(Repository(root)).read("iris").history:
        production = (step.after or production) if step.alias == "production" else production
        by_generation[step.generation] = production
    assert received.answers
    for setosa, version, generation in received.answers:
        assert version == by_generation[generation]
        assert setosa == int(version)


@pytest.mark.timeout(1200 if THOROUGH else 240)
@pytest.mark.parametrize(("placement", "rounds"), ROUNDS.items())
def test_route_changes_lose_no_call(tmp_path: Path, contract: Contract, placement: str, rounds: int) -> None:
    add_steady(tmp_path, 3)
    promote(tmp_path, "1")
    with foretell(tmp_path, "--placement", placement, "--workers", "1") as running, load(running, contract) as received:
        for _ in range(rounds):
            assert followed(running, promote(tmp_path, "2")) == "served"
            assert followed(running, rollback(tmp_path)) == "served"
        assert followed(running, promote(tmp_path, "3")) == "served"
        assert followed(running, rollback(tmp_path)) == "served"
    check(received, tmp_path)
    assert {version for _, version, _ in received.answers} == {"1", "2", "3"}
    assert received.count > 100


def test_bad_versions_are_refused_unnoticed_by_callers(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    bad: dict[str, Callable[[], str]] = {
        "load": lambda: add(tmp_path, candidates.CallsOnLoad(candidates.segfault)),
        "golden": lambda: add(tmp_path, candidates.Steady(0.5), golden(0.4)),
    }
    with foretell(tmp_path) as running, load(running, contract) as received:
        for gate, candidate in bad.items():
            routes = promote(tmp_path, candidate())
            assert followed(running, routes) == "refused"
            (following,) = httpx2.get(f"{running.http}/models").json()["following"]
            assert following["refused"]["gate"] == gate
            assert following["refused"]["generation"] == routes.generation
    assert received.failures == []
    assert received.answers == {(1, "1", 1)}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Foretell]]:
    """A server with version 1 as production and 2 as staging."""
    root = tmp_path_factory.mktemp("models")
    add_steady(root, 2)
    promote(root, "1")
    routes = promote(root, "2", "staging")
    with foretell(root) as running:
        assert followed(running, routes) == "served"
        yield root, running


def test_bridge_routes_to_the_chosen_version(chosen: tuple[Path, Foretell]) -> None:
    running = chosen[1]
    with httpx2.Client(base_url=running.http, timeout=30) as http:
        choices = [
            ("/predict", {}, "1"),
            ("/predict", {"model-alias": "staging"}, "2"),
            ("/models/iris/aliases/staging/predict", {}, "2"),
            ("/models/iris/versions/1/predict", {}, "1"),
            ("/models/iris/versions/1/predict", {"model-alias": "staging"}, None),
            ("/models/iris/versions/3/predict", {}, None),
        ]
        for path, headers, version in choices:
            answer = http.post(path, json=EXAMPLE, headers=headers)
            assert answer.headers.get("model-version") == version
            assert answer.status_code == (404 if version is None else 200)
        (problem,) = answer.json()["detail"]
        assert (problem["type"], problem["msg"]) == ("not_found", "no version '3' of iris answers; there is 1, 2")
        assert problem["ctx"] == {"model-version": "1, 2"}
        batch = http.post("/models/iris/aliases/staging/predict/batch", json={"rows": [EXAMPLE] * 3})
        assert [row["setosa_probability"] for row in batch.json()["rows"]] == [0.02] * 3
    with ThreadPoolExecutor(24) as pool:  # Simultaneous rows, which the bridge batches if they choose the same version.

        def ask(number: int) -> tuple[float, Any]:
            choice = {"model-version": str(1 + number % 2)} if number % 3 else {}
            answer = httpx2.post(
                f"{running.http}/predict", json=EXAMPLE, headers=choice, timeout=30, verify=NO_TLS
            ).raise_for_status()
            assert answer.headers["model-version"] == choice.get("model-version", "1")
            return answer.json()["setosa_probability"] * 100, answer.headers["model-version"]

        assert all(setosa == int(version) for setosa, version in pool.map(ask, range(72)))


@pytest.mark.timeout(600 if THOROUGH else 120)
def test_canary_draws_alike_over_grpc_and_rest(chosen: tuple[Path, Foretell], contract: Contract) -> None:
    """tests/grpc_server/versions/test_routing.py checks the share to one percent on ten thousand keys."""
    root, running = chosen
    method = contract.services[0].methods[0]
    request = method.request(**EXAMPLE).SerializeToString()
    with grpc.insecure_channel(running.grpc) as channel, httpx2.Client(timeout=30) as http:
        predict = channel.unary_unary(method.path, response_deserializer=method.response.FromString)
        assert followed(running, change(root, lambda routes: routes.with_canary("2", 0.3, AUTHOR))) == "served"

        def versions(number: int) -> tuple[str, str, int, int]:
            """The version named in the labels and the one that answered, over gRPC and over REST."""
            key = {"routing-key": f"user-{number}"}
            answer, call = predict.with_call(request, timeout=30, metadata=tuple(key.items()))
            over_rest = http.post(f"{running.http}/predict", json=EXAMPLE, headers=key).raise_for_status()
            labels = dict(call.trailing_metadata())["model-version"], over_rest.headers["model-version"]
            return *labels, round(answer.setosa_probability * 100), round(over_rest.json()["setosa_probability"] * 100)

        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(versions, range(KEYS)))
    assert all(len({*map(int, labels)}) == 1 for labels in replies)
    drawn = sum(labels[0] == "2" for labels in replies)
    assert abs(drawn / KEYS - 0.3) < (0.01 if THOROUGH else 0.15)
    assert followed(running, change(root, lambda routes: routes.without_canary(AUTHOR))) == "served"


def test_chdir_in_a_model_is_harmless(tmp_path: Path) -> None:
    root = tmp_path / "models"
    add(root, candidates.Wandering(0.01))
    with grpc_server(root.relative_to("/")) as (_process, address):  # It is started there.
        add(root, candidates.Steady(0.02), golden(0.02))
        promote(root, "2")
        verdict = Servers(root / ".control", address, response_type()).wait_for("iris", 1, "2", lambda _gate: None)
    assert verdict.outcome == "served", verdict.text


def test_waiting_version_is_not_reported_as_served(tmp_path: Path) -> None:
    add_steady(tmp_path, 3)
    promote(tmp_path, "1")
    with grpc_server(tmp_path) as (_process, address):
        promote(tmp_path, "2")
        promote(tmp_path, "3", "staging")
        servers = Servers(tmp_path / ".control", address, response_type())
        assert servers.wait_for("iris", 3, "3", lambda _gate: None).outcome == "served"
        answer: Any = servers.list_models()
    assert "3" in [model.version for model in answer.models]
