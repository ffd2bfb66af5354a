"""`foretell test` on a server that is not sound: each kind of fault is found, and said at its door."""

import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foretell.testing.kit import KitRequest
from foretell_contract.contract import load
from tests.conftest import PROTOS
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract
from tests.support.fakes import FakeRuntime, registry_of
from tests.support.processes import Foretell
from tests.support.servers.disagreeing_proxy import Twist, disagreeing
from tests.support.servers.kit_runs import doors, faults, kit
from tests.support.servers.many_models import serving


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    shutil.copytree(PROTOS / "iris", tmp_path / "protos/iris")
    return tmp_path / "protos"


def edit(protos: Path, old: str, new: str) -> Path:
    file = protos / "iris/v1/iris.proto"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    return protos


def test_a_bound_that_the_server_does_not_enforce(running: Foretell, protos: Path) -> None:
    """The server has another revision of the contract."""
    rule, example = "(buf.validate.field).double.lte = ", ",\n    (buf.validate.field).double.example = 0.2"
    edit(protos, f"{rule}1{example}", f"{rule}0.5{example}")
    done = kit(*doors(running), "--protos", protos)
    shown = done.stdout.splitlines()
    assert done.exit_code == 1
    assert shown[0] == "FAILED iris.v1.IrisService.Predict/sepal_length/above-max  the next number above the most"
    assert "sent" in shown[1]
    assert "0.5000000000000001" in shown[1]
    assert [line.split()[0] for line in shown[2:7]] == ["expected", "gRPC", "REST", "fault", "fault"]
    fault = "expected a refusal with double.gte_lte at sepal_length, came an answer"
    assert [line.strip() for line in shown[5:7]] == [f"fault    gRPC: {fault}", f"fault    REST: {fault}"]
    assert shown[-1] == "1 failed, 2 skipped, 63 passed"


def test_a_rule_of_the_server_that_the_contract_does_not_have(running: Foretell, protos: Path) -> None:
    edit(protos, "double.lte = 1,", "double.lte = 2,")
    (told,) = faults("sepal_length/max", KitRequest(target=running.grpc, protos=protos))
    assert told == "gRPC: expected an answer, came INVALID_ARGUMENT (double.gte_lte at sepal_length)"


def test_a_service_that_the_server_does_not_have(running: Foretell, tmp_path: Path) -> None:
    protos = write_contract(tmp_path, SERVICE, features("double a [(buf.validate.field).double.example = 1]"), RESPONSE)
    wish = KitRequest(target=running.grpc, rest=running.http, protos=protos)
    assert faults("", wish) == ["/openapi.json has no POST /test.v1.TestService/Predict"]
    grpc, rest = faults("example", wish)
    assert grpc.startswith("gRPC: expected an answer, came UNIMPLEMENTED (")
    assert rest.startswith("REST: expected an answer, came 404 (")


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


def _broken(path: str, status: int, document: Any) -> tuple[int, Any]:
    return (500, {"detail": "oops"}) if path == "/predict" and status == 200 else (status, document)


def _poor(path: str, status: int, document: Any) -> tuple[int, Any]:
    if path == "/predict" and status == 200:
        del document["setosa_probability"]
    return status, document


def _loosely_told(path: str, status: int, document: Any) -> tuple[int, Any]:
    if path == "/openapi.json":
        del document["components"]["schemas"]["iris.v1.Features"]["properties"]["petal_width"]["maximum"]
    return status, document


def _tightly_told(path: str, status: int, document: Any) -> tuple[int, Any]:
    if path == "/openapi.json":
        document["components"]["schemas"]["iris.v1.Features"]["properties"]["petal_width"]["maximum"] = 0.5
    return status, document


@pytest.mark.parametrize(
    ("twist", "check", "says"),
    [
        pytest.param(_shifted, "example", "the doors differ, gRPC first: setosa_probability is ", id="another-answer"),
        pytest.param(_reworded, "petal_width/above-max", "the doors differ: gRPC says ['double.gte_lte at ", id="other-words"),
        pytest.param(_lenient, "petal_width/missing", "REST: expected a refusal with required at ", id="lenient"),
        pytest.param(_lenient, "unknown", "REST: expected a refusal with unknown_field ", id="drops-unknown"),
        pytest.param(_broken, "example", "REST: expected an answer, came 500 ({", id="fails"),
        pytest.param(_poor, "example", "OpenAPI: what came with 200 does not fit its schema: 'setosa_prob", id="answers-by-half"),
        pytest.param(_loosely_told, "petal_width/above-max", "OpenAPI: the schema accepts what is refused ", id="schema-too-wide"),
        pytest.param(_tightly_told, "petal_width/max", "OpenAPI: the schema refuses what is answered", id="schema-too-narrow"),
    ],
)
def test_a_rest_door_that_disagrees(running: Foretell, twist: Twist, check: str, says: str) -> None:
    with disagreeing(running.http, twist) as url:
        told = faults(check, KitRequest(target=running.grpc, rest=url, protos=PROTOS))
    assert any(fault.startswith(says) for fault in told), told


def nan(rows: Any) -> Any:
    return np.full((len(rows), 3), math.nan)


def certain(rows: Any) -> Any:
    return np.full((len(rows), 3), 2.0)


def by_company(rows: Any) -> Any:
    return np.full((len(rows), 3), 1 / (1 + len(rows)))


@pytest.mark.parametrize(
    ("predict", "check", "says"),
    [
        pytest.param(nan, "example", r"gRPC: expected an answer, came INTERNAL \(internal error; quote .*", id="nan"),
        pytest.param(
            certain, "example", "gRPC: the answer breaks double.gte_lte at setosa_probability: must be .*", id="too-large"
        ),
        pytest.param(
            by_company,
            "several-rows",
            "gRPC: row 0 is answered otherwise than alone: setosa_probability is 0.5 and 0.1+",
            id="by-company",
        ),
    ],
)
def test_a_model_that_answers_badly(predict: Any, check: str, says: str) -> None:
    contract = load(PROTOS).restricted_to(["iris"])
    with serving(registry_of(contract, FakeRuntime(predict)), contract) as served:
        told = faults(check, KitRequest(target=served.address, protos=PROTOS))
    assert re.fullmatch(says, told[0])
