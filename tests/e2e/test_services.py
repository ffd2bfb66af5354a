"""Several contracts in one server: two versions of a package, a package of another team, a service without a model."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx2
import joblib
import numpy as np
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2
from sklearn.datasets import load_iris

from foretell.serve import server_and_bridge
from foretell_contract.contract import Contract, load
from foretell_contract.service import Method
from grpc_server.checks.add_model import add_model
from grpc_server.store.repository import Repository
from tests.conftest import PROTOS, ROOT
from tests.support.iris import COLUMNS
from tests.support.processes import ANY_PORT, Foretell, foretell, refused_here

pytestmark = pytest.mark.slow

CENTIMETRES = tuple(f"{column}_cm" for column in COLUMNS)
SERVING, UNKNOWN = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture(scope="module")
def contract() -> Contract:
    """All contracts; other tests use that of iris alone."""
    return load(PROTOS)


@pytest.fixture(scope="module")
def examples(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of all three examples, written by their scripts."""
    root = tmp_path_factory.mktemp("examples")
    for name in ("iris_v2", "parcel"):
        runpy.run_path(str(ROOT / f"examples/{name}/train.py"))["main"](root / name)
    (root / "iris").symlink_to(trained)
    return root


@pytest.fixture(scope="module")
def repository(examples: Path, contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("three")
    for name, folder, columns in (("iris", "iris", COLUMNS), ("iris.v2", "iris_v2", CENTIMETRES), ("parcel", "parcel", None)):
        source = examples / folder
        add_model(
            Repository(root), source / "model.joblib", name, columns, (source / "golden.jsonl").read_bytes(), contract=contract
        )
    return root


@pytest.fixture(scope="module", params=["inside", "beside"])
def served(repository: Path, request: pytest.FixtureRequest) -> Iterator[Foretell]:
    with foretell(repository, "--bridge", request.param) as started:
        yield started


def method(contract: Contract, name: str) -> Method:
    return next(each for service in contract.services for each in service.methods if each.full_name == name)


def answers(served: Foretell, method: Method, rows: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """The answers over gRPC and over REST, one document for each row."""
    with grpc.insecure_channel(served.grpc) as channel, httpx2.Client(base_url=served.http) as http:
        call = channel.unary_unary(method.path, response_deserializer=method.response.FromString)
        requests = [json_format.ParseDict(row, method.request()).SerializeToString() for row in rows]
        over_grpc = [json_format.MessageToDict(call(request), preserving_proto_field_name=True) for request in requests]
        return over_grpc, [http.post(method.paths[0], json=row).raise_for_status().json() for row in rows]


def test_both_iris_versions_give_one_answer(served: Foretell, contract: Contract) -> None:
    flowers = load_iris().data[::5]
    low, high = load_iris().data.min(axis=0), load_iris().data.max(axis=0)
    scaled = ((flowers - low) / (high - low)).clip(0, 1)
    old = answers(
        served,
        method(contract, "iris.v1.IrisService.Predict"),
        [dict(zip(COLUMNS, row, strict=True)) for row in scaled.tolist()],
    )
    new = answers(
        served,
        method(contract, "iris.v2.IrisService.Predict"),
        [dict(zip(CENTIMETRES, row, strict=True)) for row in flowers.tolist()],
    )
    for before, after in zip(old, new, strict=True):
        assert [row.keys() for row in before] == [row.keys() for row in after]
        assert np.allclose([list(row.values()) for row in before], [list(row.values()) for row in after], rtol=0, atol=1e-12)


def test_mixed_columns_get_an_interval(served: Foretell, contract: Contract, examples: Path) -> None:
    script = runpy.run_path(str(ROOT / "examples/parcel/train.py"))
    frame, _ = script["deliveries"](40, np.random.default_rng(7))
    assert frame.isna().any(axis=None)
    model = joblib.load(examples / "parcel/model.joblib")
    expected = np.array([model[name].predict(frame) for name in ("value", "lower", "upper")]).T
    rows = [
        {name: value for name, value in row.items() if value == value}
        | {
            "vehicle": {"van": "VEHICLE_VAN", "cargo bike": "VEHICLE_CARGO_BIKE"}[row["vehicle"]],
            "stops_before": int(row["stops_before"]),
            "departure": str(np.datetime64(int(row["departure"]), "s")) + "Z",
        }
        for row in frame.to_dict("records")
    ]
    for over_one in answers(served, method(contract, "parcel.v1.ParcelService.Estimate"), rows):
        answered = [[row["minutes"], row["earliest_minutes"], row["latest_minutes"]] for row in over_one]
        assert np.allclose(answered, expected, rtol=1e-12, atol=0)


def test_document_has_a_tag_per_service(served: Foretell) -> None:
    document = httpx2.get(f"{served.http}/openapi.json").json()
    assert [tag["name"] for tag in document["tags"]] == [
        "iris.v1.IrisService",
        "iris.v2.IrisService",
        "parcel.v1.ParcelService",
        "server",
    ]
    assert all(tag["description"] for tag in document["tags"])
    assert document["info"]["title"] == "IRIS Classification, IRIS Classification in centimetres, Parcel delivery"
    assert document["info"]["version"] == "0.1, 0.2"
    titles = [schema["title"] for schema in document["components"]["schemas"].values()]
    assert len(set(titles)) == len(titles)
    usual = [path for path in document["paths"] if not path.startswith("/models/")]
    assert list(document["paths"])[:3] == [*usual[:2], "/models/iris/versions/{version}/predict"]
    assert {"/predict", "/v2/predict", "/parcel/estimate", "/models/iris.v2/versions/{version}/v2/predict"} <= set(
        document["paths"]
    )
    assert document["paths"]["/parcel/estimate"]["post"]["tags"] == ["parcel.v1.ParcelService"]


def health(address: str, service: str) -> int:
    with grpc.insecure_channel(address) as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch", response_deserializer=health_pb2.HealthCheckResponse.FromString
        )
        call = watch(health_pb2.HealthCheckRequest(service=service).SerializeToString(), timeout=30)
        status = next(call).status
        call.cancel()
        return int(status)


def test_each_service_has_a_health_status(served: Foretell) -> None:
    for service in ("", "iris.v1.IrisService", "iris.v2.IrisService", "parcel.v1.ParcelService"):
        assert health(served.grpc, service) == SERVING


@pytest.mark.parametrize(("bridge", "status"), [("inside", 404), ("beside", 501)])
def test_service_without_model_is_reported_unserved(steady: Path, tmp_path: Path, bridge: str, status: int) -> None:
    with (tmp_path / "log").open("w") as log, foretell(steady, "--bridge", bridge, stderr=log) as served:
        assert health(served.grpc, "iris.v1.IrisService") == SERVING
        assert health(served.grpc, "iris.v2.IrisService") == UNKNOWN
        document = httpx2.get(f"{served.http}/openapi.json").json()
        assert document["info"]["title"] == "IRIS Classification"
        assert {path for path in document["paths"] if "parcel" in path or "v2" in path} == set()
        files = httpx2.get(f"{served.http}/contract").json()["files"]
        assert [path for path in files if "iris" in path or "parcel" in path] == ["/contract/iris/v1/iris.proto"]
        row = {f"{column}_cm": 1.0 for column in COLUMNS}
        assert httpx2.post(f"{served.http}/v2/predict", json=row).status_code == status
        with grpc.insecure_channel(served.grpc) as channel, pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary("/iris.v2.IrisService/Predict")(b"", timeout=30)
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    note = "No model yet for the contract of iris.v2, parcel: add one by `foretell add FILE --name iris.v2` and start again"
    assert f"\n{note}\n" in served.banner
    assert [line for line in (tmp_path / "log").read_text().splitlines() if "parcel" in line or "WARNING" in line] == []
    assert "/v2/predict" not in served.banner


def test_shared_rest_path_is_refused(steady: Path, tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        text = (ROOT / f"protos/iris/{version}/iris.proto").read_text().replace("/v2/predict", "/predict")
        (tmp_path / f"iris/{version}").mkdir(parents=True)
        (tmp_path / f"iris/{version}/iris.proto").write_text(text)
    code, printed = refused_here(
        server_and_bridge.serve, models=str(steady), protos=str(tmp_path), grpc_address=ANY_PORT, http_address=ANY_PORT
    )
    assert code == 2
    assert printed == (
        "foretell: the REST path /predict belongs to both iris.v1.IrisService.Predict and iris.v2.IrisService.Predict; "
        "give one of them another path in google.api.http\n"
    )
