"""Twelve kinds of estimators behind contracts of every kind of field: gRPC and REST give the estimator's own answers."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import joblib
import pytest
from google.protobuf import json_format

from foretell_contract.contract import load
from grpc_server.checks.add_model import Added, add_model
from grpc_server.store.repository import Repository
from tests.support.models.estimators import CASES, ROWS, Case
from tests.support.servers.estimator_answers import assert_answers, assert_close
from tests.support.servers.grpc_in_process import violations
from tests.support.servers.many_models import BridgedServer, served

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:X does not have valid feature names")]  # As the server says it.

HEAD = """
syntax = "proto3";
package {package}.v1;
import "buf/validate/validate.proto";
import "foretell/v1/options.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
service Service { rpc Predict(Features) returns (Response); rpc PredictBatch(FeaturesBatch) returns (ResponseBatch); }
message FeaturesBatch { repeated Features rows = 1 [(buf.validate.field).repeated = {min_items: 1, max_items: 1000}]; }
message ResponseBatch { repeated Response rows = 1; }
"""


def add(root: Path, name: str, case: Case, golden: bytes = b"", acceleration: Any = None) -> Added:
    """Write the contract, and add the model."""
    file = root / "protos" / name / "v1" / f"{name}.proto"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEAD.replace("{package}", name) + dedent(case.contract))
    joblib.dump(case.estimator, root / "model.joblib")
    repository = Repository(root / "models")
    named: dict[str, Any] = {"targets": case.targets, "dtypes": case.dtypes}
    contract = load(root / "protos") if acceleration else None
    return add_model(
        repository, root / "model.joblib", name, case.columns, golden, **named, acceleration=acceleration, contract=contract
    )


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {name: make() for name, make in CASES.items()}


@pytest.fixture(scope="module")
def server(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("estimators")
    for name, case in cases.items():
        add(root, name, case)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")  # As the server does.
        with served(root / "protos", root / "models") as server:
            yield server


@pytest.mark.parametrize("name", CASES)
def test_grpc_and_rest_give_the_estimators_answers(server: BridgedServer, cases: dict[str, Case], name: str) -> None:
    case, method = cases[name], server.methods[f"{name}.Predict"]
    assert len(case.rows) == len(case.answers) == ROWS
    assert_answers(server, method, case.rows, case.answers)


@pytest.mark.parametrize("name", CASES)
def test_a_batch_is_answered_like_its_rows(server: BridgedServer, cases: dict[str, Case], name: str) -> None:
    case, method = cases[name], server.methods[f"{name}.PredictBatch"]
    (response,) = server.rest(method, [{"rows": case.rows}])
    assert response.status_code == 200, response.text
    assert_close(response.json()["rows"], case.answers)


@pytest.mark.parametrize("name", ["mixed", "several_labels", "gaussian"])
def test_worker_processes_give_the_same_answers(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    """Rows and outputs of every kind travel to a worker and back."""
    case = cases[name]
    add(tmp_path, name, case)
    with served(tmp_path / "protos", tmp_path / "models", placement="process", workers=1) as server:
        method = server.methods[f"{name}.PredictBatch"]
        (response,) = server.rest(method, [{"rows": case.rows}])
    assert response.status_code == 200, response.text
    assert_close(response.json()["rows"], case.answers)


def test_a_number_on_which_only_the_model_fails_is_refused_by_its_name(server: BridgedServer, cases: dict[str, Case]) -> None:
    """The contract takes any finite number; trees calculate with 32 bits."""
    method, row = server.methods["quantiles.PredictBatch"], cases["quantiles"].rows[0]
    name = next(iter(row))
    batch = {"rows": [row, row | {name: 1e39}]}
    (error,) = server.grpc(method, [json_format.ParseDict(batch, method.request())])
    assert violations(error) == [(f"rows[1].{name}", "model_range", "must be within what the model can answer")]
    (response,) = server.rest(method, [batch])
    assert response.status_code == 422
    (entry,) = response.json()["detail"]
    assert (entry["type"], entry["loc"]) == ("model_range", ["body", "rows", 1, name])
