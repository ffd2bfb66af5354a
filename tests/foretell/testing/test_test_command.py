"""`foretell test` on a sound server: what it tries, how it tells that, and what it cannot test."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import pytest
import trustme

from foretell.testing.kit import Kit, KitRequest
from grpc_server.store.manifest import GOLDEN, MANIFEST
from grpc_server.store.repository import sha256
from tests.conftest import PROTOS
from tests.support.fakes import FakeRuntime
from tests.support.processes import Foretell, copy_models
from tests.support.servers.grpc_in_process import served
from tests.support.servers.kit_runs import doors, faults, kit, report


@pytest.fixture(scope="module")
def found(running: Foretell, models: Path) -> dict[str, Any]:
    return report(*doors(running), "--protos", PROTOS, "--models", models)


def test_a_server_elsewhere_is_tested_by_what_it_says_of_itself(running: Foretell) -> None:
    done = kit(*doors(running))
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
    told = faults("golden-2", KitRequest(target=running.grpc, rest=running.http, protos=PROTOS, models=altered))
    assert [fault.partition("setosa")[0] for fault in told] == [
        f"{door}: the answer is not that on record, which is first: " for door in ("gRPC", "REST")
    ]


def test_without_rest_only_grpc_is_asked(running: Foretell) -> None:
    every = Kit(KitRequest(target=running.grpc, protos=PROTOS))
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


def test_what_is_not_served_is_left_out_in_words(running: Foretell, models: Path) -> None:
    there = Kit(KitRequest(target=running.grpc, protos=PROTOS))
    here = Kit(KitRequest(protos=PROTOS, models=models))
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
        wish = KitRequest(target=stub.address, roots=roots)
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
