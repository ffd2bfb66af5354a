"""`foretell test`: nothing to find on a sound server, and each kind of fault on one that is not."""

import asyncio
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import numpy as np
import pytest
import trustme
from typer.testing import CliRunner, Result

from contract.contract import load
from foretell.cli import app
from foretell.kit.kit import Kit, Wish
from grpc_server.manifest import GOLDEN, MANIFEST
from grpc_server.repository import sha256
from tests.conftest import PROTOS
from tests.contracts import RESPONSE, SERVICE, features, write_contract
from tests.estimators.served import serving
from tests.fakes import FakeRuntime, registry_of
from tests.foretell.disagreeing import Twist, disagreeing
from tests.grpc_server.serving import served
from tests.processes import Foretell, copy_models


def kit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["test", *map(str, arguments)])


def report(*arguments: str | Path) -> dict[str, Any]:
    """The checks by their ids."""
    done = kit(*arguments, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == (1 if told["failed"] else 0)
    return {check["id"]: check for check in told["checks"]}


def faults(wanted: str, wish: Wish) -> list[str]:
    """The faults of one check."""
    every = Kit(wish)
    check = next(check for check in every.checks() if check.id.partition("/")[2] == wanted)
    with every.judging() as judge:
        return list(check.run(judge).faults)


@pytest.fixture(scope="module")
def doors(running: Foretell) -> tuple[str, ...]:
    return ("--target", running.grpc, "--rest", running.http)


@pytest.fixture(scope="module")
def found(doors: tuple[str, ...], models: Path) -> dict[str, Any]:
    return report(*doors, "--protos", PROTOS, "--models", models)


def test_a_server_elsewhere_is_tested_by_what_it_says_of_itself(doors: tuple[str, ...]) -> None:
    done = kit(*doors)
    assert (done.exit_code, done.stdout) == (
        0,
        "skipped iris.v1.IrisService/golden: golden rows are in the repository of the models: "
        "pass --models to try them on a server elsewhere\n1 skipped, 64 passed\n",
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("min", "an answer"),
        ("max", "an answer"),
        ("below-min", "a refusal with double.gte_lte at petal_width"),
        ("above-max", "a refusal with double.gte_lte at petal_width"),
        ("missing", "a refusal with required at petal_width"),
    ],
)
def test_every_bound_is_tried_from_both_sides_on_both_doors(found: dict[str, Any], name: str, expected: str) -> None:
    check = found[f"iris.v1.IrisService.Predict/petal_width/{name}"]
    assert (check["outcome"], check["expected"], set(check["came"])) == ("passed", expected, {"gRPC", "REST"})


def test_just_outside_is_the_next_number(found: dict[str, Any]) -> None:
    sent = json.loads(found["iris.v1.IrisService.Predict/petal_width/above-max"]["sent"])
    assert sent["petal_width"] == math.nextafter(1, 2)


def test_golden_rows_are_tried_where_the_repository_is_given(
    found: dict[str, Any], running: Foretell, models: Path, tmp_path: Path
) -> None:
    assert sum(name.startswith("iris.v1.IrisService.Predict/golden-") for name in found) == 20
    altered = altered_golden(models, tmp_path / "models")
    told = faults("golden-2", Wish(target=running.grpc, rest=running.http, protos=PROTOS, models=altered))
    assert [fault.partition("setosa")[0] for fault in told] == [
        f"{door}: the answer is not that on record, which is first: " for door in ("gRPC", "REST")
    ]


def test_without_rest_only_grpc_is_asked(running: Foretell) -> None:
    every = Kit(Wish(target=running.grpc, protos=PROTOS))
    with every.judging() as judge:
        results = {check.id.partition("/")[2]: check.run(judge) for check in every.checks()}
    assert results[""].skipped == "no address of REST was given: pass --rest"
    assert results["unknown"].skipped == "it is for REST, and no address of REST was given"
    assert set(results["example"].came) == {"gRPC"}


def altered_golden(models: Path, to: Path) -> Path:
    """The repository with one probability of the second row moved by a thousandth, and the digest of that."""
    copy_models(models, to)
    folder = to / "iris/1"
    rows = [json.loads(line) for line in (folder / GOLDEN).read_text().splitlines()]
    rows[1]["probabilities"]["setosa"] += 0.001
    (folder / GOLDEN).write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][GOLDEN] = sha256((folder / GOLDEN).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return to


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    shutil.copytree(PROTOS / "iris", tmp_path / "protos/iris")
    return tmp_path / "protos"


def edit(protos: Path, old: str, new: str) -> Path:
    file = protos / "iris/v1/iris.proto"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    return protos


def test_a_bound_that_the_server_does_not_enforce(doors: tuple[str, ...], protos: Path) -> None:
    """The server has another revision of the contract."""
    rule, example = "(buf.validate.field).double.lte = ", ",\n    (buf.validate.field).double.example = 0.2"
    edit(protos, f"{rule}1{example}", f"{rule}0.5{example}")
    done = kit(*doors, "--protos", protos)
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
    (told,) = faults("sepal_length/max", Wish(target=running.grpc, protos=protos))
    assert told == "gRPC: expected an answer, came INVALID_ARGUMENT (double.gte_lte at sepal_length)"


def test_a_service_that_the_server_does_not_have(running: Foretell, tmp_path: Path) -> None:
    protos = write_contract(tmp_path, SERVICE, features("double a [(buf.validate.field).double.example = 1]"), RESPONSE)
    wish = Wish(target=running.grpc, rest=running.http, protos=protos)
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
        told = faults(check, Wish(target=running.grpc, rest=url, protos=PROTOS))
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
    contract = load(PROTOS).only(["iris"])
    with serving(registry_of(contract, FakeRuntime(predict)), contract) as served:
        told = faults(check, Wish(target=served.address, protos=PROTOS))
    assert re.fullmatch(says, told[0])


def test_what_is_not_served_is_left_out_in_words(running: Foretell, models: Path) -> None:
    there = Kit(Wish(target=running.grpc, protos=PROTOS))
    here = Kit(Wish(protos=PROTOS, models=models))
    for every, why in ((there, f"the server at {running.grpc} does not have it"), (here, f"no model in {models}")):
        assert [service.full_name for service in every.services] == ["iris.v1.IrisService"]
        left_out = [check.id for check in every.checks()][-2:]
        assert left_out == ["iris.v2.IrisService/served", "parcel.v1.ParcelService/served"]
        *_, last = every.checks()
        assert last.run(None).skipped == f"it is not served: {why}"  # type: ignore[arg-type]  # It asks nobody.


def test_this_repository_is_served_for_as_long_as_it_is_tested(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    done = kit("iris", "--protos", PROTOS, "--models", models, "--junit", file)
    assert (done.exit_code, done.output) == (0, "84 passed\n")
    suite = parse(file).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("84", "0", "0")


async def test_an_encrypted_door(tmp_path: Path) -> None:
    authority = trustme.CA()
    identity = authority.issue_cert("localhost")
    certificate, key, roots = (tmp_path / name for name in ("certificate.pem", "key.pem", "roots.pem"))
    identity.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(roots))
    for part in identity.cert_chain_pems:
        part.write_to_path(str(certificate), append=True)
    async with served(FakeRuntime(), grpc_address="localhost:0", tls_certificate=certificate, tls_key=key) as stub:
        wish = Wish(target=stub.address, roots=roots)
        assert await asyncio.to_thread(faults, "example", wish) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--target", "127.0.0.1:1"], "no gRPC server answers at 127.0.0.1:1: UNAVAILABLE (", id="nobody"),
        pytest.param(["--rest", "http://127.0.0.1:1"], "--rest goes with --target: give the gRPC ", id="rest-alone"),
        pytest.param(["--protos", "/nowhere"], "no folder of contracts at /nowhere: create it or pass --protos", id="no-contract"),
        pytest.param(["nobody", "--protos", PROTOS], "no service is answered by a model 'nobody'", id="no-model"),
        pytest.param(["--target", "a:1", "--roots", "/nowhere"], "cannot read /nowhere: No such file or directory", id="no-roots"),
        pytest.param(["--protos", PROTOS, "--models", "/nowhere"], "no model 'iris' in /nowhere: add one ", id="no-repository"),
    ],
)
def test_what_cannot_be_tested_is_said_in_one_line(arguments: list[str | Path], says: str) -> None:
    done = kit(*arguments)
    assert str(done.exception).startswith(says)
    assert "\n" not in str(done.exception)
