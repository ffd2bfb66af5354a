"""A served model applies its route table: promotions, rollbacks, warm and retired versions, unreadable files."""

import contextlib
import random
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foretell_contract.contract import Contract
from grpc_server.errors import ChangeRefused, StateUnreadable
from grpc_server.store.repository import Repository
from grpc_server.store.route_table_files import ANSWERED, ROUTES, RouteTableFiles
from grpc_server.versions.startup import open_served_model
from tests.support.effort import tries
from tests.support.models import candidates
from tests.support.models.candidates import add, add_steady, loader, promote, rollback, until
from tests.support.servers.served_models import opened, production_of, promote_and_settle, versions_in_memory, wait_until_settled


def test_newest_version_becomes_production_on_record(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    with opened(tmp_path, contract) as served:
        assert (production_of(served), served.routing.production.generation) == ("2", 1)
        add_steady(tmp_path, 1)
        promote(tmp_path, "1", "staging")
        served.refresh()
        assert served.routing.loading == {"1", "staging"}
        wait_until_settled(served)
        assert (production_of(served), sorted(served.routing.aliases)) == ("2", ["production", "staging"])


@pytest.mark.parametrize("placement", ["inline", "process"])
def test_promotion_waits_for_gates_but_rollback_not(tmp_path: Path, contract: Contract, placement: str) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract, placement=placement, workers="1") as served:
        promote(tmp_path, "2")
        served.refresh()
        assert production_of(served) == "1"
        wait_until_settled(served)
        assert (production_of(served), served.routing.production.generation, versions_in_memory(served)) == ("2", 2, ["1", "2"])
        rollback(tmp_path)
        served.refresh()
        assert (production_of(served), served.routing.production.generation, served.rollout) == ("1", 3, None)


def test_listener_hears_before_first_call(tmp_path: Path, contract: Contract) -> None:
    """Otherwise the scheduler would miss the version's first rows."""
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract, keep_warm=0) as served:
        states: list[tuple[str, list[str]]] = []
        served.on_change = lambda: states.append((production_of(served), versions_in_memory(served)))
        promote(tmp_path, "2")
        served.refresh()
        until(served, lambda: versions_in_memory(served) == ["2"])
        assert ("1", ["1", "2"]) in states
        assert states[-1] == ("2", ["2"])


def test_only_last_versions_stay_warm(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 3)
    promote(tmp_path, "1")
    with opened(tmp_path, contract, keep_warm=1) as served:
        for version in "23":
            promote_and_settle(served, tmp_path, version)
        until(served, lambda: len(served.versions) == 2)
        assert versions_in_memory(served) == sorted(served.routing.versions) == ["2", "3"]


def test_retired_version_is_unloaded(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as served:
        promote_and_settle(served, tmp_path, "2")
        candidates.change(tmp_path, lambda routes: routes.retire("1", candidates.AUTHOR))
        served.refresh()
        until(served, lambda: versions_in_memory(served) == ["2"])


def test_unreadable_route_table_changes_nothing(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as served:
        record = tmp_path / "iris" / ROUTES
        good = record.read_bytes()
        record.write_bytes(b"{}}")
        served.refresh()
        assert (production_of(served), served.read_error != "") == ("1", True)
        record.write_bytes(good)
        served.refresh()
        assert (production_of(served), served.read_error) == ("1", "")
    record.write_bytes(b"{}}")
    with opened(tmp_path, contract) as served:
        assert (production_of(served), served.read_error != "") == ("1", True)  # It answered last.
    (tmp_path / "iris" / ANSWERED).unlink()
    with pytest.raises(StateUnreadable, match=r"routes.json is no route table \(the file: Invalid JSON"):
        open_served_model(loader(tmp_path, contract))


def test_temporary_read_error_is_retried(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as served:
        promote(tmp_path, "2", "staging")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            served.refresh()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert served.read_error.endswith("routes.json cannot be read: Too many open files")
        served.refresh()
        assert (served.routes.generation, served.read_error) == (2, "")


def test_restored_route_table_retries_refused_versions(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    record = tmp_path / "iris" / ROUTES
    copy = record.read_bytes()
    manifest = tmp_path / "iris" / "2" / "manifest.json"
    good = manifest.read_bytes()
    with opened(tmp_path, contract) as served:
        manifest.write_bytes(b"{}")
        promote_and_settle(served, tmp_path, "2")
        assert (production_of(served), served.last_refusal is not None) == ("1", True)
        manifest.write_bytes(good)
        record.write_bytes(copy)
        served.refresh()
        assert served.last_refusal is None
        promote_and_settle(served, tmp_path, "2")
        assert (production_of(served), served.routing.production.generation) == ("2", 2)


STORMS, CHANGES = tries(8, 32), tries(3, 12)


@pytest.mark.timeout(600)
def test_concurrent_changes_converge_to_last_routes(tmp_path: Path, contract: Contract) -> None:
    """Threads add, promote, roll back and retire at random while the model is refreshed, loaded and closed all the time."""
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
    with opened(tmp_path, contract) as served:
        with ThreadPoolExecutor(STORMS) as pool:
            storms = [pool.submit(storm, seed) for seed in range(STORMS)]
            while not all(one.done() for one in storms):
                served.refresh()
        for one in storms:
            one.result()
        routes = RouteTableFiles(Repository(tmp_path)).read("iris")
        assert sorted(acknowledged) == list(range(2, routes.generation + 1))
        served.refresh()
        until(served, lambda: served.rollout is None and len(served.versions) == len(served.routing.versions))
        assert {alias: target.version.version for alias, target in served.routing.aliases.items()} == routes.aliases
        canary = served.routing.canary
        assert (canary and canary.target.version.version) == (routes.canary and routes.canary.version)
        assert set(routes.serving_versions) <= set(served.routing.versions)
        assert len(served.routing.versions) <= len(routes.serving_versions) + served._loader.settings.keep_warm
        assert served.last_refusal is None
