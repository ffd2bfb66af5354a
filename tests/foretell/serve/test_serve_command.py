"""`foretell serve` and single processes: banner, signals, restarts."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
import trustme

from foretell.serve.supervisor import banner
from tests.conftest import PROTOS
from tests.support.iris import EXAMPLE
from tests.support.processes import ANY_PORT, LAYOUTS, NO_TLS, Foretell, foretell, grpc_server, refused, rest_bridge, until

pytestmark = pytest.mark.slow

PREDICT = "/predict"


def children(process: subprocess.Popen[str]) -> list[tuple[str, int]]:
    """Module and process id of each process below the supervisor."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line for line in status.read_text().splitlines() if line.startswith("PPid:"))
            command = (status.parent / "cmdline").read_text().split("\0")
        except (OSError, StopIteration):
            continue
        if int(parent.split()[1]) == process.pid and "-m" in command:
            found.append((command[command.index("-m") + 1], int(status.parent.name)))
    return sorted(found)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def answers(running: Foretell) -> bool:
    try:
        return httpx2.post(running.http + PREDICT, json=EXAMPLE, timeout=10, verify=NO_TLS).status_code == 200
    except httpx2.HTTPError:
        return False


def test_banner_command_can_be_pasted(steady: Path) -> None:
    with foretell(steady) as running:
        assert "  model  iris version 1 (onnx) answers iris.v1.IrisService\n" in running.banner
        assert f"  docs   {running.http}/docs\n" in running.banner
        (curl,) = [line for line in running.banner.splitlines() if line.strip().startswith("curl ")]
        done = subprocess.run([*shlex.split(curl), "--silent", "--show-error"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith('{"setosa_probability":0.01')


FACTS = {"grpc_address": "a:1", "http_address": "a:2", "control": "", "models": ["iris"]}
FACTS |= {"examples": [], "missing": [], "note": "", "certificate": ""}
CALLS = [{"model": name, "path": f"/{name}", "method": f"{name}.v1.S/M", "body": f'{{"{name}": 1}}'} for name in ("a", "b")]
CURL = {name: f"  curl http://a:2/{name} -H 'content-type: application/json' -d '{{\"{name}\": 1}}'" for name in ("a", "b")}
GRPCURL = "  grpcurl {} -d '{{\"{name}\": 1}}' a:1 {name}.v1.S/M"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({}, [*CURL.values(), GRPCURL.format("-plaintext", name="a")], id="each-model"),
        pytest.param({"missing": ["a"]}, [CURL["b"], GRPCURL.format("-plaintext", name="b")], id="missing-model"),
        pytest.param({"certificate": "/x y"}, [*CURL.values(), GRPCURL.format("-cacert '/x y'", name="a")], id="encrypted"),
        pytest.param({"examples": [CALLS[0] | {"body": "1" * 9_999}]}, [], id="long-body"),
        pytest.param({"examples": []}, [], id="no-example"),
    ],
)
def test_banner_has_a_call_to_each_model(facts: dict[str, Any], expected: list[str]) -> None:
    printed = banner(FACTS | {"examples": CALLS} | facts)
    assert [line for line in printed.splitlines() if "curl " in line] == expected
    assert ("Try it:" in printed) == bool(expected)


def test_banner_trusts_the_certificate_of_its_server(steady: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    issued = trustme.CA().issue_cert("127.0.0.1")
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    with foretell(steady, tls_certificate=str(certificate), tls_key=str(key)) as running:
        (grpcurl,) = [shlex.split(line) for line in running.banner.splitlines() if line.startswith("  grpcurl ")]
        assert grpcurl[:3] == ["grpcurl", "-cacert", str(certificate)]
        if shutil.which("grpcurl"):
            done = subprocess.run(grpcurl, capture_output=True, text=True, check=True)
            assert "setosaProbability" in done.stdout


def test_banner_aligns_its_entries() -> None:
    more = {"control": "a:3", "control_url": "http://a:4", "follows": ["models:/iris@x"]}
    lines = banner(FACTS | more).splitlines()[2:-2]
    assert lines[3:] == ["  control a:3", "  control http://a:4/docs", "  model   iris", "  follow  models:/iris@x"]
    assert lines[:3] == ["  gRPC    a:1", "  REST    http://a:2", "  docs    http://a:2/docs"]


def ends(running: Foretell, layout: str, number: int) -> None:
    """Assert that a signal ends a running Foretell with exit code 0, and all of its processes."""
    assert answers(running)
    started = children(running.process)
    assert [module for module, _ in started] == LAYOUTS[layout][1]
    assert running.stop(number) == 0
    assert not any(alive(pid) for _, pid in started)


@pytest.mark.parametrize(("layout", "number"), [("inside", signal.SIGTERM), ("two-beside", signal.SIGINT)])
def test_signal_during_start_ends_silently(steady: Path, layout: str, number: int) -> None:
    arguments, modules = LAYOUTS[layout]
    command = [sys.executable, "-m", "foretell", "serve", "--models", str(steady), "--protos", str(PROTOS)]
    command += ["--grpc-address", ANY_PORT, "--http-address", ANY_PORT, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: len(children(process)) == len(modules))
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (0, "", "")


def test_endless_caller_does_not_delay_stop(steady: Path) -> None:
    stop = threading.Event()

    def call_until_stop(address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            while not stop.wait(0.05):
                channel.unary_unary("/iris.v1.IrisService/Predict").future(b"").exception()

    with grpc_server(steady, drain_seconds="1000") as (server, address):
        caller = threading.Thread(target=call_until_stop, args=(address,))
        caller.start()
        server.terminate()
        assert server.wait(60) == 0
        stop.set()
        caller.join()


@pytest.mark.parametrize("layout", ["inside", "two-beside"])
def test_processes_end_with_a_killed_supervisor(steady: Path, layout: str) -> None:
    with foretell(steady, *LAYOUTS[layout][0]) as running:
        started = children(running.process)
        running.stop(signal.SIGKILL)
        until(lambda: not any(alive(pid) for _, pid in started))


@pytest.mark.parametrize(("layout", "number"), [("inside", signal.SIGTERM), ("beside", signal.SIGINT)])
def test_killed_process_returns_on_the_same_port(steady: Path, layout: str, number: int) -> None:
    arguments, modules = LAYOUTS[layout]
    with foretell(steady, *arguments) as running:
        for module in modules:
            killed = dict(children(running.process))[module]
            os.kill(killed, signal.SIGKILL)
            until(lambda pid=killed: not alive(pid))
            until(lambda: answers(running))
            assert dict(children(running.process))[module] != killed
        ends(running, layout, number)


def test_bridge_reconnects_to_a_restarted_server(steady: Path) -> None:
    with grpc_server(steady) as (server, address), rest_bridge(address) as (_, http), httpx2.Client(base_url=http) as client:
        assert client.post(PREDICT, json=EXAMPLE).status_code == 200
        server.kill()
        server.wait()
        until(lambda: client.get("/readyz").status_code == 503)
        for _ in range(20):
            response = client.post(PREDICT, json=EXAMPLE)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
        with grpc_server(steady, address):
            until(lambda: client.post(PREDICT, json=EXAMPLE).status_code == 200)
            assert client.get("/readyz").status_code == 200


def test_bridge_without_server_is_not_ready(steady: Path) -> None:
    with rest_bridge("127.0.0.1:1") as (_, http):
        assert httpx2.get(http + "/readyz").status_code == 503
        assert httpx2.get(http + "/models").status_code == 503
        assert httpx2.get(http + "/openapi.json").status_code == 200


def test_second_server_on_a_port_is_refused(steady: Path) -> None:
    with grpc_server(steady) as (_, address):
        code, stderr = refused("grpc_server", models=str(steady), protos=str(Path("protos").resolve()), grpc_address=address)
        assert code == 2
        assert "Address already in use" in stderr


def test_health_watch_does_not_delay_stop(steady: Path) -> None:
    with grpc_server(steady) as (server, address), grpc.insecure_channel(address) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert next(watch) == b"\x08\x01"  # SERVING
        server.terminate()
        assert next(watch) == b"\x08\x02"  # NOT_SERVING
        assert server.wait(10) == 0
