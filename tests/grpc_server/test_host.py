"""One model that follows its record: what gets through the gates answers, and nothing else changes what is served."""

import contextlib
import logging
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.contract import Contract
from grpc_server.errors import ChangeRefused, ModelError, RecordUnreadable
from grpc_server.gates import Gates
from grpc_server.host import Host
from grpc_server.opening import open_host
from grpc_server.repository import Repository
from grpc_server.route_store import ROUTES, RouteStore
from tests.effort import tries
from tests.grpc_server import candidates
from tests.grpc_server.candidates import add, add_steady, golden, loader, promote, rollback, until
from tests.iris import CLASSES


@contextmanager
def opened(root: Path, contract: Contract, **settings: Any) -> Iterator[Host]:
    host = open_host(loader(root, contract, **settings))
    host.look()
    try:
        yield host
    finally:
        host.close(10)


def served(host: Host) -> str:
    return host.lineup.production.version.version


def in_memory(host: Host) -> list[str]:
    return sorted(version.version for version in host.versions)


def settled(host: Host) -> None:
    until(host, lambda: host.rollout is None)


def test_without_a_record_the_newest_version_answers_and_stays(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    with opened(tmp_path, contract) as host:
        assert (served(host), host.lineup.production.generation) == ("2", 0)
        add_steady(tmp_path, 1)
        promote(tmp_path, "1", "staging")
        host.look()
        assert host.lineup.loading == {"1", "staging"}
        settled(host)
        assert (served(host), sorted(host.lineup.aliases)) == ("2", ["production", "staging"])


@pytest.mark.parametrize("placement", ["inline", "process"])
def test_a_promotion_answers_once_it_is_through_the_gates_and_a_rollback_at_once(
    tmp_path: Path, contract: Contract, placement: str
) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract, placement=placement, workers="1") as host:
        promote(tmp_path, "2")
        host.look()
        assert served(host) == "1"
        settled(host)
        assert (served(host), host.lineup.production.generation, in_memory(host)) == ("2", 2, ["1", "2"])
        rollback(tmp_path)
        host.look()
        assert (served(host), host.lineup.production.generation, host.rollout) == ("1", 3, None)


def test_a_version_is_announced_before_the_first_call_can_reach_it(tmp_path: Path, contract: Contract) -> None:
    """Else its first rows would wait until somebody looks for rows again."""
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract, keep_warm=0) as host:
        seen: list[tuple[str, list[str]]] = []
        host.changed = lambda: seen.append((served(host), in_memory(host)))
        promote(tmp_path, "2")
        host.look()
        until(host, lambda: in_memory(host) == ["2"])
        assert ("1", ["1", "2"]) in seen
        assert seen[-1] == ("2", ["2"])


FAULTS = {
    "wrong-width": (candidates.Narrow(0.5), {}, "contract", "has 3 columns, its manifest names 4"),
    "class-order": (candidates.Backwards(0.5), {}, "contract", "tells virginica, versicolor, setosa apart"),
    "class-order-in-the-manifest-too": (
        candidates.Backwards(0.1),
        {"classes": CLASSES[::-1], "rows": golden(0.1)},
        "golden",
        "gives setosa 0.000000 for golden row 1, expected 0.100000",
    ),
    "other-names": (candidates.Steady(0.5), {"columns": ("a", "b", "c", "d")}, "contract", "sepal_length"),
    "dtype": (candidates.Words(0.5), {}, "contract", r"cannot answer the example of iris.v1.Features \(ValueError"),
    "not-a-number": (candidates.NotANumber(0.5), {}, "contract", "not finite"),
    "golden": (candidates.Steady(0.5), {"rows": golden(0.4)}, "golden", "gives setosa 0.500000 for golden row 1"),
    "slow": (candidates.Slow(0.5), {}, "warm-up", "s for a row, but max_row_seconds is 0.1"),
    "exit": (candidates.Loaded(candidates.leave), {}, "load", r"fails \(SystemExit: enough\)"),
    "no-model": ({}, {}, "load", "dict is no fitted estimator that predicts or transforms rows of a known number of columns"),
}
FATAL = {
    "crash-while-loading": (candidates.Loaded(candidates.segfault), "load", "ended its process by signal SIGSEGV"),
    "crash": (candidates.Crashing(0.5), "contract", "ended its process by signal SIGSEGV"),
    "hang-while-loading": (candidates.Loaded(candidates.hang), "load", "took longer than gate_seconds, 5 s"),
    "hang": (candidates.Hanging(0.5), "contract", "took longer than gate_seconds, 5 s"),
    "golden": (candidates.Steady(0.5), "golden", "gives setosa 0.500000 for golden row 1, expected 0.400000"),
}


@pytest.mark.parametrize(("model", "facts", "gate", "says"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_refused_by_its_own_gate(
    tmp_path: Path, contract: Contract, model: object, facts: dict[str, Any], gate: str, says: str
) -> None:
    version = add(tmp_path, model, **facts)
    with pytest.raises(ModelError, match=says) as refused:
        loader(tmp_path, contract, max_row_seconds=0.1).load(version, Gates("version 1"))
    assert refused.value.gate == gate


@pytest.mark.parametrize(("model", "gate", "says"), FATAL.values(), ids=FATAL)
def test_whatever_a_version_does_at_a_gate_production_answers_on(
    tmp_path: Path, contract: Contract, model: object, gate: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    with opened(tmp_path, contract, gate_seconds=5 if "gate_seconds" in says else 30) as host, caplog.at_level(logging.ERROR):
        promote(tmp_path, add(tmp_path, model, golden(0.4)))
        host.look()
        settled(host)
        assert host.refused is not None
        assert (host.refused.version, host.refused.gate, host.refused.generation) == ("2", gate, 2)
        assert says in host.refused.reason
        assert f"version 2 is refused at the gate {gate}: " in caplog.text
        assert (served(host), host.lineup.production.generation, in_memory(host)) == ("1", 1, ["1"])


def test_a_file_that_was_altered_is_refused_by_its_digest(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    (tmp_path / "iris/2/model.onnx").write_bytes(b"else")
    with opened(tmp_path, contract) as host:
        promote(tmp_path, "2")
        host.look()
        settled(host)
        assert host.refused is not None
        assert host.refused.gate == "digest"


def test_a_refused_version_is_tried_again_only_when_it_is_asked_for_again(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    broken = tmp_path / "iris/2/model.onnx"
    add(tmp_path, candidates.Steady(0.02))
    good = broken.read_bytes()
    broken.write_bytes(b"else")
    with opened(tmp_path, contract) as host:
        promote(tmp_path, "2")
        host.look()
        settled(host)
        broken.write_bytes(good)
        promote(tmp_path, "1", "staging")
        host.look()
        assert (host.rollout, served(host)) == (None, "1")
        assert host.lineup.aliases["staging"].generation == 3
        promote(tmp_path, "2")
        host.look()
        settled(host)
        assert (served(host), host.lineup.production.generation) == ("2", 4)


def test_a_rollback_need_not_wait_for_a_version_that_hangs_at_a_gate(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as host:
        promote(tmp_path, "2")
        host.look()
        settled(host)
        promote(tmp_path, add(tmp_path, candidates.Hanging(0.5)))
        host.look()
        assert host.rollout is not None
        assert host.rollout.version == "3"
        rollback(tmp_path)
        rollback(tmp_path)
        host.look()
        assert served(host) == "1"
        settled(host)
        assert (host.refused, in_memory(host)) == (None, ["1", "2"])


def test_the_last_versions_are_kept_warm_and_those_before_are_closed(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 3)
    promote(tmp_path, "1")
    with opened(tmp_path, contract, keep_warm=1) as host:
        for version in "23":
            promote(tmp_path, version)
            host.look()
            settled(host)
        until(host, lambda: len(host.versions) == 2)
        assert in_memory(host) == sorted(host.lineup.versions) == ["2", "3"]


def test_a_retired_version_is_not_kept(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as host:
        promote(tmp_path, "2")
        host.look()
        settled(host)
        candidates.change(tmp_path, lambda routes: routes.retire("1", candidates.AUTHOR))
        host.look()
        until(host, lambda: in_memory(host) == ["2"])


def test_a_record_that_cannot_be_read_leaves_what_is_served(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as host:
        record = tmp_path / "iris" / ROUTES
        good = record.read_bytes()
        record.write_bytes(b"{}}")
        host.look()
        assert (served(host), host.trouble != "") == ("1", True)
        record.write_bytes(good)
        host.look()
        assert (served(host), host.trouble) == ("1", "")
    record.write_bytes(b"{}}")
    with pytest.raises(RecordUnreadable, match=r"routes.json is no record of routes \(the file: Invalid JSON"):
        open_host(loader(tmp_path, contract))


def test_a_start_that_must_refuse_production_serves_the_version_before(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 3)
    for version in "123":
        promote(tmp_path, version)
    for version in "23":
        (tmp_path / "iris" / version / "model.onnx").write_bytes(b"else")
    with opened(tmp_path, contract) as host:
        assert served(host) == "1"
        assert host.refused is not None
        assert (host.refused.version, host.refused.gate) == ("3", "digest")
    (tmp_path / "iris/1/model.onnx").write_bytes(b"else")
    with pytest.raises(ModelError, match=r"iris/3/model.onnx is not as it was added"):
        open_host(loader(tmp_path, contract))


@pytest.mark.parametrize(("kind", "gate"), [(candidates.Crashing, "contract"), (candidates.Hanging, "contract")])
def test_a_start_outlives_a_production_that_has_never_answered(
    tmp_path: Path, contract: Contract, kind: type[candidates.Steady], gate: str
) -> None:
    """As after a server was killed while it tried what was put on record unchecked."""
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    promote(tmp_path, add(tmp_path, kind(0.5)))
    with opened(tmp_path, contract, gate_seconds=2) as host:
        assert served(host) == "1"
        assert host.refused is not None
        assert (host.refused.version, host.refused.gate) == ("2", gate)


def test_what_has_answered_is_not_tried_again_at_a_start(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as host:
        promote(tmp_path, "2")
        host.look()
        settled(host)
        assert served(host) == "2"
    told = loader(tmp_path, contract)
    monkeypatch.setattr(told, "forks", None)  # No process could be had.
    host = open_host(told)
    assert served(host) == "2"
    host.close(10)
    shutil.rmtree(tmp_path / "iris/2")
    assert add(tmp_path, candidates.Crashing(0.5)) == "2"  # It has the number, and has answered nothing.
    with opened(tmp_path, contract) as host:
        assert served(host) == "1"


STORMS, CHANGES = tries(8, 32), tries(3, 12)


@pytest.mark.timeout(600)
def test_a_storm_of_changes_ends_in_what_the_last_record_says(tmp_path: Path, contract: Contract) -> None:
    """Threads add, promote, roll back and retire at random while the host follows; versions are loaded and closed all the time."""
    add_steady(tmp_path, 4)
    promote(tmp_path, "1")

    def storm(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(CHANGES):
            version, alias = chance.choice("1234"), chance.choice(["production", "staging", "next"])
            if chance.random() < 0.1:
                version = add(tmp_path, candidates.Steady(0.5))
            edit = chance.choice(
                [
                    lambda routes, v=version, a=alias: routes.promote(v, a, candidates.AUTHOR),
                    lambda routes, a=alias: routes.rollback(a, candidates.AUTHOR),
                    lambda routes, v=version: routes.retire(v, candidates.AUTHOR),
                    lambda routes, v=version: routes.with_canary(v, 0.5, candidates.AUTHOR),
                ]
            )
            with contextlib.suppress(ChangeRefused):
                acknowledged.append(candidates.change(tmp_path, edit).generation)

    acknowledged: list[int] = []
    with opened(tmp_path, contract) as host:
        with ThreadPoolExecutor(STORMS) as pool:
            storms = [pool.submit(storm, seed) for seed in range(STORMS)]
            while not all(one.done() for one in storms):
                host.look()
        for one in storms:
            one.result()
        routes = RouteStore(Repository(tmp_path)).read("iris")
        assert sorted(acknowledged) == list(range(2, routes.generation + 1))
        host.look()
        until(host, lambda: host.rollout is None and len(host.versions) == len(host.lineup.versions))
        assert {alias: member.version.version for alias, member in host.lineup.aliases.items()} == routes.aliases
        canary = host.lineup.canary
        assert (canary and canary.member.version.version) == (routes.canary and routes.canary.version)
        assert set(routes.named) <= set(host.lineup.versions)
        assert len(host.lineup.versions) <= len(routes.named) + host._loader.settings.keep_warm
        assert host.refused is None
