"""Twelve kinds of estimators behind contracts of every kind of field: gRPC and REST give the estimator's own answers."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import json_format

from tests.support.models.estimator_case import ROWS, Case, add_case
from tests.support.models.estimators import CASES
from tests.support.servers.estimator_answers import assert_answers, assert_close
from tests.support.servers.grpc_in_process import violations
from tests.support.servers.many_models import BridgedServer, served

# As in the server.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:X does not have valid feature names")]


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {name: make() for name, make in CASES.items()}


@pytest.fixture(scope="module")
def server(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("estimators")
    for name, case in cases.items():
        add_case(root, name, case)
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
def test_batch_is_answered_like_its_rows(server: BridgedServer, cases: dict[str, Case], name: str) -> None:
    case, method = cases[name], server.methods[f"{name}.PredictBatch"]
    (response,) = server.rest(method, [{"rows": case.rows}])
    assert response.status_code == 200, response.text
    assert_close(response.json()["rows"], case.answers)


@pytest.mark.parametrize("name", ["mixed", "several_labels", "gaussian"])
def test_worker_processes_give_the_same_answers(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    """Rows and outputs of every kind travel to a worker and back."""
    case = cases[name]
    add_case(tmp_path, name, case)
    with served(tmp_path / "protos", tmp_path / "models", placement="process", workers=1) as server:
        method = server.methods[f"{name}.PredictBatch"]
        (response,) = server.rest(method, [{"rows": case.rows}])
    assert response.status_code == 200, response.text
    assert_close(response.json()["rows"], case.answers)


def test_number_that_fails_the_model_is_named(server: BridgedServer, cases: dict[str, Case]) -> None:
    """The contract takes any finite number; trees round it to float32."""
    method, row = server.methods["quantiles.PredictBatch"], cases["quantiles"].rows[0]
    name = next(iter(row))
    batch = {"rows": [row, row | {name: 1e39}]}
    (error,) = server.grpc(method, [json_format.ParseDict(batch, method.request())])
    assert violations(error) == [(f"rows[1].{name}", "model_range", "must be within what the model can answer")]
    (response,) = server.rest(method, [batch])
    assert response.status_code == 422
    (entry,) = response.json()["detail"]
    assert (entry["type"], entry["loc"]) == ("model_range", ["body", "rows", 1, name])
