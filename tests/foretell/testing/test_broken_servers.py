"""`foretell test` on servers that break their contract: each kind of failure is found and reported."""

import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foretell.testing import SuiteOptions
from foretell_contract.contract import load
from tests.conftest import PROTOS
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract
from tests.support.fakes import FakeRuntime, registry_of
from tests.support.processes import Foretell
from tests.support.servers.check_runs import addresses, failures, run_test_command
from tests.support.servers.disagreeing_proxy import Change, proxy
from tests.support.servers.many_models import serving

pytestmark = pytest.mark.slow


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    shutil.copytree(PROTOS / "iris", tmp_path / "protos/iris")
    return tmp_path / "protos"


def edit(protos: Path, old: str, new: str) -> Path:
    file = protos / "iris/v1/iris.proto"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    return protos


def test_unenforced_bound_fails_with_request_and_replies(running: Foretell, protos: Path) -> None:
    """The contract of the check is stricter than that of the server."""
    rule, example = "(buf.validate.field).double.lte = ", ",\n    (buf.validate.field).double.example = 0.2"
    edit(protos, f"{rule}1{example}", f"{rule}0.5{example}")
    done = run_test_command(*addresses(running), "--protos", protos)
    shown = done.stdout.splitlines()
    assert done.exit_code == 1
    assert shown[0] == "FAILED iris.v1.IrisService.Predict/sepal_length/above-max  the next number above the maximum"
    assert "sent" in shown[1]
    assert "0.5000000000000001" in shown[1]
    assert [line.split()[0] for line in shown[2:7]] == ["expected", "gRPC", "REST", "failure", "failure"]
    failure = "expected a refusal with double.gte_lte at sepal_length, got an answer"
    assert [line.strip() for line in shown[5:7]] == [f"failure  gRPC: {failure}", f"failure  REST: {failure}"]
    assert shown[-1] == "1 failed, 2 skipped, 63 passed"


def test_refusal_of_a_valid_row_fails(running: Foretell, protos: Path) -> None:
    edit(protos, "double.lte = 1,", "double.lte = 2,")
    (failure,) = failures("sepal_length/max", SuiteOptions(target=running.grpc, protos=protos))
    assert failure == "gRPC: expected an answer, got INVALID_ARGUMENT (double.gte_lte at sepal_length)"


def test_missing_service_fails(running: Foretell, tmp_path: Path) -> None:
    protos = write_contract(tmp_path, SERVICE, features("double a [(buf.validate.field).double.example = 1]"), RESPONSE)
    options = SuiteOptions(target=running.grpc, rest=running.http, protos=protos)
    assert failures("", options) == ["/openapi.json has no POST /test.v1.TestService/Predict"]
    grpc, rest = failures("example", options)
    assert grpc.startswith("gRPC: expected an answer, got UNIMPLEMENTED (")
    assert rest.startswith("REST: expected an answer, got 404 (")


def _shifted(path: str, status: int, document: Any) -> tuple[int, Any]:
    if path == "/predict" and status == 200:
        document["setosa_probability"] = abs(document["setosa_probability"] - 0.001)
    return status, document


def _reworded(path: str, status: int, document: Any) -> tuple[int, Any]:
    if path == "/predict" and status == 422 and document["detail"][0]["type"] == "double.gte_lte":
        document["detail"][0]["msg"] = "no"
    return status, document


def _lenient(path: str, status: int, document: Any) -> tuple[int, Any]:
    good = {"setosa_probability": 1.0, "versicolor_probability": 0.0, "virginica_probability": 0.0}
    return (200, good) if path == "/predict" and status == 422 else (status, document)


def _failing(path: str, status: int, document: Any) -> tuple[int, Any]:
    return (500, {"detail": "oops"}) if path == "/predict" and status == 200 else (status, document)


def _incomplete(path: str, status: int, document: Any) -> tuple[int, Any]:
    if path == "/predict" and status == 200:
        del document["setosa_probability"]
    return status, document


def _loose_schema(path: str, status: int, document: Any) -> tuple[int, Any]:
    if path == "/openapi.json":
        del document["components"]["schemas"]["iris.v1.Features"]["properties"]["petal_width"]["maximum"]
    return status, document


def _tight_schema(path: str, status: int, document: Any) -> tuple[int, Any]:
    if path == "/openapi.json":
        document["components"]["schemas"]["iris.v1.Features"]["properties"]["petal_width"]["maximum"] = 0.5
    return status, document


@pytest.mark.parametrize(
    ("change", "check", "start"),
    [
        pytest.param(_shifted, "example", "gRPC and REST differ: setosa_probability is ", id="another-answer"),
        pytest.param(_reworded, "petal_width/above-max", "gRPC and REST differ: gRPC reports ['double.gte_lte at ", id="message"),
        pytest.param(_lenient, "petal_width/missing", "REST: expected a refusal with required at ", id="lenient"),
        pytest.param(_lenient, "unknown", "REST: expected a refusal with unknown_field ", id="drops-unknown"),
        pytest.param(_failing, "example", "REST: expected an answer, got 500 ({", id="fails"),
        pytest.param(_incomplete, "example", "OpenAPI: the body of the 200 does not fit its schema: 'setosa_prob", id="incomplete"),
        pytest.param(_loose_schema, "petal_width/above-max", "OpenAPI: the schema accepts a request ", id="schema-too-wide"),
        pytest.param(_tight_schema, "petal_width/max", "OpenAPI: the schema refuses a request ", id="schema-too-narrow"),
    ],
)
def test_rest_that_disagrees_with_grpc_fails(running: Foretell, change: Change, check: str, start: str) -> None:
    with proxy(running.http, change) as url:
        found = failures(check, SuiteOptions(target=running.grpc, rest=url, protos=PROTOS))
    assert any(failure.startswith(start) for failure in found), found


def nan(rows: Any) -> Any:
    return np.full((len(rows), 3), math.nan)


def above_one(rows: Any) -> Any:
    return np.full((len(rows), 3), 2.0)


def by_batch_size(rows: Any) -> Any:
    return np.full((len(rows), 3), 1 / (1 + len(rows)))


@pytest.mark.parametrize(
    ("predict", "check", "pattern"),
    [
        pytest.param(
            nan,
            "example",
            r"gRPC: expected an answer, got FAILED_PRECONDITION \(the model's answer is invalid: setosa_probability: .*",
            id="nan",
        ),
        pytest.param(
            above_one, "example", "gRPC: the answer breaks double.gte_lte at setosa_probability: must be .*", id="too-large"
        ),
        pytest.param(
            by_batch_size,
            "several-rows",
            r"gRPC: the answer to row 0 differs from the answer to it alone: setosa_probability is 0.5 alone and 0.1+ here",
            id="by-batch-size",
        ),
    ],
)
def test_invalid_answers_of_a_model_fail(predict: Any, check: str, pattern: str) -> None:
    contract = load(PROTOS).restricted_to(["iris"])
    with serving(registry_of(contract, FakeRuntime(predict)), contract) as server:
        first, *_ = failures(check, SuiteOptions(target=server.address, protos=PROTOS))
    assert re.fullmatch(pattern, first)
