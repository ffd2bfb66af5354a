"""Versions come and go under load: no call fails, and each answer is that of the version it names.

A few changes in each run; `HYPOTHESIS_PROFILE=thorough python -m pytest -n 0 tests/e2e/test_rollouts.py` makes a hundred promotions
and as many rollbacks beside more callers, and asks ten thousand keys of a canary over gRPC and REST.
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
"""Seconds between two calls of a caller, who would otherwise keep the machine from loading versions."""
ROUNDS = {"inline": tries(3, 99), "process": tries(1, 99)}
KEYS = tries(200, 10_000)


@dataclass
class Load:
    """Callers who never stop, and what they were told."""

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
    told, stop = Load(), threading.Event()
    method = contract.services[0].methods[0]
    request = method.request(**EXAMPLE).SerializeToString()

    def over_grpc() -> None:
        with grpc.insecure_channel(running.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            predict = channel.unary_unary(method.path, response_deserializer=method.response.FromString)
            while not stop.wait(PAUSE):
                answer, call = predict.with_call(request, timeout=30)
                told.note(answer.setosa_probability, dict(call.trailing_metadata()))

    def over_rest() -> None:
        with httpx2.Client(base_url=running.http, timeout=30) as http:
            while not stop.wait(PAUSE):
                answer = http.post("/predict", json=EXAMPLE).raise_for_status()
                told.note(answer.json()["setosa_probability"], answer.headers)

    with ThreadPoolExecutor(GRPC_CALLERS + REST_CALLERS) as pool:
        callers = [pool.submit(caller) for caller in [over_grpc] * GRPC_CALLERS + [over_rest] * REST_CALLERS]
        try:
            yield told
        finally:
            stop.set()
            told.failures += [error for caller in callers if (error := caller.exception(60)) is not None]


def followed(running: Foretell, routes: RouteTable) -> str:
    """How the server ends up with the last change."""
    servers = Servers(None, running.grpc, response_type())
    return servers.wait_for("iris", routes.generation, routes.history[-1].after, lambda gate: None).outcome


def check(told: Load, root: Path) -> None:
    """No failure; each answer is that of the version it names, and that version was production in the generation it names."""
    assert told.failures == []
    production, by_generation = "1", {}
    for step in RouteTableFiles(Repository(root)).read("iris").history:
        production = (step.after or production) if step.alias == "production" else production
        by_generation[step.generation] = production
    assert told.answers
    for setosa, version, generation in told.answers:
        assert version == by_generation[generation]
        assert setosa == int(version)


@pytest.mark.timeout(1200 if THOROUGH else 240)
@pytest.mark.parametrize(("placement", "rounds"), ROUNDS.items())
def test_promotions_and_rollbacks_lose_no_call_and_mix_no_answers(
    tmp_path: Path, contract: Contract, placement: str, rounds: int
) -> None:
    add_steady(tmp_path, 3)
    promote(tmp_path, "1")
    with foretell(tmp_path, "--placement", placement, "--workers", "1") as running, load(running, contract) as told:
        for _ in range(rounds):
            assert followed(running, promote(tmp_path, "2")) == "served"
            assert followed(running, rollback(tmp_path)) == "served"
        assert followed(running, promote(tmp_path, "3")) == "served"
        assert followed(running, rollback(tmp_path)) == "served"
    check(told, tmp_path)
    assert {version for _, version, _ in told.answers} == {"1", "2", "3"}
    assert told.count > 100


def test_versions_that_crash_or_answer_wrongly_are_refused_while_callers_notice_nothing(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    bad: dict[str, Callable[[], str]] = {
        "load": lambda: add(tmp_path, candidates.Loaded(candidates.segfault)),
        "golden": lambda: add(tmp_path, candidates.Steady(0.5), golden(0.4)),
    }
    with foretell(tmp_path) as running, load(running, contract) as told:
        for gate, candidate in bad.items():
            routes = promote(tmp_path, candidate())
            assert followed(running, routes) == "refused"
            (following,) = httpx2.get(f"{running.http}/models").json()["following"]
            assert following["refused"]["gate"] == gate
            assert following["refused"]["generation"] == routes.generation
    assert told.failures == []
    assert told.answers == {(1, "1", 1)}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Foretell]]:
    """Two versions, of which 1 is production and 2 is staging."""
    root = tmp_path_factory.mktemp("models")
    add_steady(root, 2)
    promote(root, "1")
    routes = promote(root, "2", "staging")
    with foretell(root) as running:
        assert followed(running, routes) == "served"
        yield root, running


def test_a_version_is_chosen_through_the_bridge(chosen: tuple[Path, Foretell]) -> None:
    running = chosen[1]
    with httpx2.Client(base_url=running.http, timeout=30) as http:
        asked = [
            ("/predict", {}, "1"),
            ("/predict", {"model-alias": "staging"}, "2"),
            ("/models/iris/aliases/staging/predict", {}, "2"),
            ("/models/iris/versions/1/predict", {}, "1"),
            ("/models/iris/versions/1/predict", {"model-alias": "staging"}, None),
            ("/models/iris/versions/3/predict", {}, None),
        ]
        for path, headers, version in asked:
            answer = http.post(path, json=EXAMPLE, headers=headers)
            assert answer.headers.get("model-version") == version
            assert answer.status_code == (404 if version is None else 200)
        (problem,) = answer.json()["detail"]
        assert (problem["type"], problem["msg"]) == ("not_found", "no version '3' of iris answers; there is 1, 2")
        assert problem["ctx"] == {"model-version": "1, 2"}
        batch = http.post("/models/iris/aliases/staging/predict/batch", json={"rows": [EXAMPLE] * 3})
        assert [row["setosa_probability"] for row in batch.json()["rows"]] == [0.02] * 3
    with ThreadPoolExecutor(24) as pool:  # Rows of one moment, which the bridge sends together where they choose alike.

        def ask(number: int) -> tuple[float, Any]:
            choice = {"model-version": str(1 + number % 2)} if number % 3 else {}
            answer = httpx2.post(
                f"{running.http}/predict", json=EXAMPLE, headers=choice, timeout=30, verify=NO_TLS
            ).raise_for_status()
            assert answer.headers["model-version"] == choice.get("model-version", "1")
            return answer.json()["setosa_probability"] * 100, answer.headers["model-version"]

        assert all(setosa == int(version) for setosa, version in pool.map(ask, range(72)))


@pytest.mark.timeout(600 if THOROUGH else 120)
def test_a_key_is_in_the_share_of_a_canary_or_not_at_either_door(chosen: tuple[Path, Foretell], contract: Contract) -> None:
    """Of all keys the share is exact to one percent, as tests/grpc_server/versions/test_routing.py shows of ten thousand."""
    root, running = chosen
    method = contract.services[0].methods[0]
    request = method.request(**EXAMPLE).SerializeToString()
    with grpc.insecure_channel(running.grpc) as channel, httpx2.Client(timeout=30) as http:
        predict = channel.unary_unary(method.path, response_deserializer=method.response.FromString)
        assert followed(running, change(root, lambda routes: routes.with_canary("2", 0.3, AUTHOR))) == "served"

        def versions(number: int) -> tuple[str, str, int, int]:
            """Which version says to have answered, and which one has, over gRPC and over REST."""
            key = {"routing-key": f"user-{number}"}
            answer, call = predict.with_call(request, timeout=30, metadata=tuple(key.items()))
            over_rest = http.post(f"{running.http}/predict", json=EXAMPLE, headers=key).raise_for_status()
            labels = dict(call.trailing_metadata())["model-version"], over_rest.headers["model-version"]
            return *labels, round(answer.setosa_probability * 100), round(over_rest.json()["setosa_probability"] * 100)

        with ThreadPoolExecutor(16) as pool:
            asked = list(pool.map(versions, range(KEYS)))
    assert all(len({*map(int, told)}) == 1 for told in asked)
    drawn = sum(told[0] == "2" for told in asked)
    assert abs(drawn / KEYS - 0.3) < (0.01 if THOROUGH else 0.15)
    assert followed(running, change(root, lambda routes: routes.without_canary(AUTHOR))) == "served"


def test_a_model_that_changes_the_directory_leaves_the_record_where_it_is(tmp_path: Path) -> None:
    root = tmp_path / "models"
    add(root, candidates.Wandering(0.01))
    with grpc_server(root.relative_to("/")) as (_process, address):  # It is started there.
        add(root, candidates.Steady(0.02), golden(0.02))
        promote(root, "2")
        verdict = Servers(root / ".control", address, response_type()).wait_for("iris", 1, "2", lambda _gate: None)
    assert verdict.outcome == "served", verdict.text


def test_a_version_that_waits_for_another_one_is_not_said_to_be_served(tmp_path: Path) -> None:
    add_steady(tmp_path, 3)
    promote(tmp_path, "1")
    with grpc_server(tmp_path) as (_process, address):
        promote(tmp_path, "2")
        promote(tmp_path, "3", "staging")
        servers = Servers(tmp_path / ".control", address, response_type())
        assert servers.wait_for("iris", 3, "3", lambda _gate: None).outcome == "served"
        answer: Any = servers.list_models()
    assert "3" in [model.version for model in answer.models]
