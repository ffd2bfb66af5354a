"""A model that cannot be served takes no other one down: its calls are refused, health says so, and a promotion brings it back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from foretell_contract.contract import load
from grpc_server.errors import ModelError
from grpc_server.settings import ServerSettings
from grpc_server.store.manifest import MANIFEST
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION
from grpc_server.store.route_table_files import ROUTES, RouteTableFiles
from grpc_server.versions.registry import load_registry
from tests.conftest import PROTOS
from tests.support.iris import EXAMPLE
from tests.support.models import candidates
from tests.support.models.candidates import AUTHOR, add, add_steady, until
from tests.support.servers.grpc_in_process import info
from tests.support.servers.many_models import BridgedServer, serving

IN_CENTIMETRES = tuple(f"{name}_cm" for name in EXAMPLE)


def altered(root: Path) -> None:
    (root / "iris.v2/1/model.onnx").write_bytes(b"else")


def without_manifest(root: Path) -> None:
    (root / "iris.v2/1" / MANIFEST).unlink()


def crashing(root: Path) -> None:
    add(root, candidates.Crashing(0.5), name="iris.v2", columns=IN_CENTIMETRES)
    change(root, lambda routes: routes.promote("2", PRODUCTION, AUTHOR))
    (root / "iris.v2/1/model.onnx").write_bytes(b"else")


def unreadable_record(root: Path) -> None:
    (root / "iris.v2" / ROUTES).write_text("{}}")


def change(root: Path, edit: Any) -> None:
    RouteTableFiles(Repository(root)).change("iris.v2", edit)


def health_of(server: BridgedServer, service: str) -> int:
    with grpc.insecure_channel(server.address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", response_deserializer=health_pb2.HealthCheckResponse.FromString)
        return int(check(health_pb2.HealthCheckRequest(service=service).SerializeToString(), timeout=10).status)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The repository of two models, each with one version."""
    add_steady(tmp_path, 1)
    add(tmp_path, candidates.Steady(0.01), name="iris.v2", columns=IN_CENTIMETRES)
    return tmp_path


@pytest.mark.parametrize("harm", [altered, without_manifest, unreadable_record, pytest.param(crashing, marks=pytest.mark.slow)])
def test_other_models_are_served(root: Path, harm: Callable[[Path], None]) -> None:
    harm(root)
    registry = load_registry(load(PROTOS).restricted_to(["iris", "iris.v2"]), ServerSettings(models=root, placement="inline"))
    with serving(registry, load(PROTOS).restricted_to(["iris", "iris.v2"])) as server:
        row = {"sepal_length_cm": 5.0, "sepal_width_cm": 3.2, "petal_length_cm": 5.7, "petal_width_cm": 2.5}
        good, bad = server.methods["iris.Predict"], server.methods["iris.v2.Predict"]
        (answer,) = server.grpc(good, [good.request(**EXAMPLE)])
        (refusal,) = server.grpc(bad, [bad.request(**row)])
        (over_rest,) = server.rest(bad, [row])
        assert answer.setosa_probability == 0.01
        assert (refusal.code(), info(refusal).reason) == (grpc.StatusCode.UNAVAILABLE, "MODEL_UNAVAILABLE")
        assert refusal.details() == "no version of iris.v2 can be served now; the server's log says why"
        assert (over_rest.status_code, over_rest.json()["detail"][0]["msg"]) == (503, refusal.details())
        services = "", "iris.v1.IrisService", "iris.v2.IrisService"
        assert [health_of(server, service) for service in services] == [1, 1, 2]

        version = add(root, candidates.Steady(0.03), name="iris.v2", columns=IN_CENTIMETRES)
        if harm is unreadable_record:
            (root / "iris.v2" / ROUTES).unlink()
        change(root, lambda routes: routes.promote(version, PRODUCTION, AUTHOR))
        (served,) = (served for served in registry.served_models if served.name == "iris.v2")
        until(served, lambda: served.serves)
        (answer,) = server.grpc(bad, [bad.request(**row)])
        assert (answer.setosa_probability, health_of(server, "iris.v2.IrisService")) == (0.03, 1)


def test_start_without_any_servable_model_is_refused(root: Path) -> None:
    for name in ("iris", "iris.v2"):
        (root / name / "1/model.onnx").write_bytes(b"else")
    with pytest.raises(ModelError, match=r"^model 'iris' version 1: .*\(gate digest\)$"):
        load_registry(load(PROTOS).restricted_to(["iris", "iris.v2"]), ServerSettings(models=root))
