"""`foretell test` on a server that keeps its contract: checks, reports, and what cannot be tested."""

import asyncio
import json
import math
import ssl
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import pytest
import trustme

from foretell.testing import CheckSuite, SuiteOptions
from grpc_server.store.manifest import GOLDEN, MANIFEST
from grpc_server.store.repository import sha256
from tests.conftest import PROTOS
from tests.support.fakes import FakeRuntime
from tests.support.processes import Foretell, copy_models
from tests.support.servers.check_runs import addresses, failures, json_report, run_test_command
from tests.support.servers.grpc_in_process import served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checks(running: Foretell, models: Path) -> dict[str, Any]:
    return json_report(*addresses(running), "--protos", PROTOS, "--models", models)


def test_running_server_is_tested_by_its_reflection(running: Foretell) -> None:
    done = run_test_command(*addresses(running))
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
def test_each_bound_is_tested_from_both_sides(checks: dict[str, Any], name: str, expected: str) -> None:
    check = checks[f"iris.v1.IrisService.Predict/petal_width/{name}"]
    assert (check["outcome"], check["expected"], set(check["came"])) == ("passed", expected, {"gRPC", "REST"})


def test_above_max_sends_the_next_double(checks: dict[str, Any]) -> None:
    sent = json.loads(checks["iris.v1.IrisService.Predict/petal_width/above-max"]["sent"])
    assert sent["petal_width"] == math.nextafter(1, 2)


def test_golden_rows_are_tested_with_models(checks: dict[str, Any], running: Foretell, models: Path, tmp_path: Path) -> None:
    assert sum(name.startswith("iris.v1.IrisService.Predict/golden-") for name in checks) == 20
    changed = changed_golden_row(models, tmp_path / "models")
    found = failures("golden-2", SuiteOptions(target=running.grpc, rest=running.http, protos=PROTOS, models=changed))
    assert [failure.partition("setosa")[0] for failure in found] == [
        f"{transport}: the answer differs from the golden row: " for transport in ("gRPC", "REST")
    ]


def test_without_rest_address_only_grpc_is_tested(running: Foretell) -> None:
    suite = CheckSuite(SuiteOptions(target=running.grpc, protos=PROTOS))
    with suite.connect() as verifier:
        results = {check.id.partition("/")[2]: check.run(verifier) for check in suite.checks()}
    assert results[""].skipped == "no REST address was given: pass --rest"
    assert results["unknown"].skipped == "only REST can express it, and no REST address was given"
    assert set(results["example"].replies) == {"gRPC"}


def changed_golden_row(models: Path, to: Path) -> Path:
    """A copy of the repository in which one probability of the second golden row is 0.001 larger."""
    copy_models(models, to)
    folder = to / "iris/1"
    rows = [json.loads(line) for line in (folder / GOLDEN).read_text().splitlines()]
    rows[1]["probabilities"]["setosa"] += 0.001
    (folder / GOLDEN).write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][GOLDEN] = sha256((folder / GOLDEN).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return to


def test_unserved_services_are_skipped(running: Foretell, models: Path) -> None:
    remote = CheckSuite(SuiteOptions(target=running.grpc, protos=PROTOS))
    local = CheckSuite(SuiteOptions(protos=PROTOS, models=models))
    for suite, why in ((remote, f"the server at {running.grpc} does not have it"), (local, f"no model in {models}")):
        assert [service.full_name for service in suite.services] == ["iris.v1.IrisService"]
        skipped = [check.id for check in suite.checks()][-2:]
        assert skipped == ["iris.v2.IrisService/served", "parcel.v1.ParcelService/served"]
        *_, last = suite.checks()
        assert last.run(None).skipped == f"it is not served: {why}"  # type: ignore[arg-type]  # It makes no call.


def test_without_target_a_server_is_started(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    done = run_test_command("iris", "--protos", PROTOS, "--models", models, "--junit", file)
    assert (done.exit_code, done.output) == (0, "84 passed\n")
    suite = parse(file).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("84", "0", "0")


async def test_encrypted_target_is_tested(tmp_path: Path) -> None:
    authority = trustme.CA()
    identity = authority.issue_cert("localhost")
    certificate, key, roots = (tmp_path / name for name in ("certificate.pem", "key.pem", "roots.pem"))
    identity.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(roots))
    for part in identity.cert_chain_pems:
        part.write_to_path(str(certificate), append=True)
    strangers = tmp_path / "strangers.pem"
    trustme.CA().cert_pem.write_to_path(str(strangers))
    async with served(FakeRuntime(), grpc_address="localhost:0", tls_certificate=certificate, tls_key=key) as stub:
        options = SuiteOptions(target=stub.address, roots=roots)
        assert await asyncio.to_thread(failures, "example", options) == []
        for more, fix in (
            ([], "takes encrypted calls only: add --roots FILE, or --tls"),
            (["--protos", PROTOS], "takes encrypted calls only: add --roots FILE, or --tls"),
            (["--roots", strangers], "has an untrusted certificate, or one for another name: add --roots FILE with its issuer"),
        ):
            done = await asyncio.to_thread(run_test_command, "--target", stub.address, *more)
            assert str(done.exception) == f"{stub.address} {fix}"


@pytest.mark.parametrize("protos", [[], ["--protos", PROTOS]], ids=["reflection", "protos"])
def test_plain_target_refuses_tls_options(running: Foretell, protos: list[str | Path]) -> None:
    done = run_test_command("--target", running.grpc, "--tls", *protos)
    assert str(done.exception) == f"{running.grpc} takes unencrypted calls only: leave out --roots and --tls"


async def test_rest_address_of_other_encryption_names_the_fix(running: Foretell, tmp_path: Path) -> None:
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("localhost").configure_cert(secure)
    roots = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(str(roots))
    plain = running.http.removeprefix("http://")
    async with await asyncio.start_server(lambda _, writer: writer.close(), "localhost", 0, ssl=secure) as server:
        encrypted = f"localhost:{server.sockets[0].getsockname()[1]}"
        for url, fix in (
            (f"https://{plain}/models", f"takes unencrypted requests only: write http://{plain}/models"),
            (f"http://{encrypted}", f"takes encrypted requests only: write https://{encrypted}"),
            (encrypted, f"takes encrypted requests only: write https://{encrypted}"),
            (f"https://{encrypted}", "has an untrusted certificate, or one for another name: add --roots FILE with its issuer"),
        ):
            done = await asyncio.to_thread(run_test_command, "--target", running.grpc, "--protos", PROTOS, "--rest", url)
            assert str(done.exception) == f"{url} {fix}"


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        pytest.param(["--target", "127.0.0.1:1"], "no gRPC server answers at 127.0.0.1:1: UNAVAILABLE (", id="nobody"),
        pytest.param(["--target", "127.0.0.1:1", "--protos", PROTOS], "no gRPC server answers at 127.0.0.1:1", id="nobody-protos"),
        pytest.param(["--rest", "http://127.0.0.1:1"], "--rest needs --target: pass the address ", id="rest-alone"),
        pytest.param(["--protos", "/nowhere"], "no folder of contracts at /nowhere: create it or pass --protos", id="no-contract"),
        pytest.param(["nobody", "--protos", PROTOS], "no service has the model 'nobody'", id="no-model"),
        pytest.param(["--target", "a:1", "--roots", "/nowhere"], "cannot read /nowhere: No such file or directory", id="no-roots"),
        pytest.param(["--protos", PROTOS, "--models", "/nowhere"], "no model 'iris' in /nowhere: add one ", id="no-repository"),
    ],
)
def test_setup_error_is_one_line(arguments: list[str | Path], start: str) -> None:
    done = run_test_command(*arguments)
    assert str(done.exception).startswith(start)
    assert "\n" not in str(done.exception)
