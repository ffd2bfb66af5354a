"""Channels and addresses: limits of messages, pings, proxies, forks, and both families of `localhost`."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from foretell_client import AsyncIrisClient, Features, IrisClient
from foretell_client.channel import OPTIONS, options
from foretell_contract.errors import SetupError
from foretell_lifecycle import address
from grpc_server.server import LEAST_PING_MS
from grpc_server.settings import ServerSettings
from tests.support.fakes import FakeRuntime
from tests.support.iris import EXAMPLE
from tests.support.processes import ROOT, Foretell, foretell
from tests.support.servers.grpc_in_process import failure, served

FLOWER = Features(**EXAMPLE)
FAMILIES = ("127.0.0.1", "::1")


@pytest.mark.parametrize("transport", ["aio", "loop"])
@pytest.mark.parametrize(("limit", "side"), [("max_message_bytes", "SERVER"), ("grpc.max_receive_message_length", "CLIENT")])
async def test_message_above_a_limit_is_refused_by_grpc(transport: str, limit: str, side: str) -> None:
    """As the table of errors says: RESOURCE_EXHAUSTED without details, in words that name the side."""
    settings = {limit: 1000} if side == "SERVER" else {}
    async with served(FakeRuntime(), shell=transport, **settings) as stub:
        limits = [("grpc.max_receive_message_length", 1000)] if side == "CLIENT" else []
        async with grpc.aio.insecure_channel(stub.address, limits) as channel:
            call = channel.unary_unary(stub.methods["PredictBatch"].path)
            error = await failure(call(stub.batch([EXAMPLE] * 100).SerializeToString()))
            await call(stub.batch([EXAMPLE] * 10).SerializeToString())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"{side}: Received message larger than max" in str(error.details())
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata() or ())


def test_clients_may_ping_every_ten_seconds() -> None:
    """The least interval of Go's and Java's clients, with room for delays: llm-d/llm-d-kv-cache#359, grpc/grpc#33661."""
    assert 2 * LEAST_PING_MS <= 10_000
    assert dict(OPTIONS)["grpc.keepalive_time_ms"] >= 2 * LEAST_PING_MS  # type: ignore[operator]


@pytest.mark.parametrize(
    ("target", "direct"),
    [
        ("127.0.0.1:50051", True),
        ("127.5.0.1:50051", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("dns:///localhost:50051", True),
        ("ipv4:127.0.0.1:50051", True),
        ("ipv6:[::1]:50051", True),
        ("localhost", True),
        ("iris.example.com:50051", False),
        ("localhost.example.com:50051", False),
        ("10.127.0.0.1:50051", False),
        ("[2001:db8::1]:50051", False),
    ],
)
def test_only_targets_on_this_machine_take_no_proxy(target: str, direct: bool) -> None:
    """grpc/grpc#11751, grpc/grpc#29718."""
    assert (("grpc.enable_http_proxy", 0) in options(target)) == direct


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_client_calls_this_machine_despite_a_proxy(running: Foretell, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """grpc/grpc#9989, ray-project/ray#6662."""
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with IrisClient.connect(running.grpc) as iris:
        assert iris.predict(FLOWER) == asyncio.run(_predict(running.grpc))


async def _predict(target: str) -> object:
    async with AsyncIrisClient.connect(target) as iris:
        return await iris.predict(FLOWER)


FORK = """
import os, sys
from foretell_client import Features, IrisClient
from tests.support.iris import EXAMPLE

iris = IrisClient.connect(sys.argv[1])
before = iris.predict(Features(**EXAMPLE))
child = os.fork()
after = iris.predict(Features(**EXAMPLE))
if not child:
    os._exit(0 if after == before else 1)
sys.exit(os.waitpid(child, 0)[1] or after != before)
"""


def test_idle_client_survives_a_fork(running: Foretell) -> None:
    """In the child and in the parent: grpc/grpc#13873, grpc/grpc#18321."""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_ENABLE_FORK_SUPPORT"}
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "clients/python")))
    command = [sys.executable, "-c", FORK, running.grpc]
    assert subprocess.run(command, timeout=60, env=environment | {"PYTHONPATH": paths}).returncode == 0


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@needs_ipv6
@pytest.mark.slow
@pytest.mark.parametrize("bridge", ["inside", "beside"])
def test_localhost_is_both_families(steady: Path, bridge: str) -> None:
    """instructlab/instructlab#667, apache/tvm#7953."""
    local = ("--grpc-address", "localhost:0", "--http-address", "localhost:0", "--bridge", bridge)
    with foretell(steady, *local) as running:
        for host in FAMILIES:
            for bound in (running.grpc, running.http):
                socket.create_connection((host, int(bound.rpartition(":")[2]))).close()


@needs_ipv6
@pytest.mark.parametrize("taken", FAMILIES)
def test_localhost_is_refused_if_one_family_is_taken(taken: str) -> None:
    with address.listen(address.join(taken, 0), "--x") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SetupError, match=f"cannot listen on .*:{port}: Address already in use; free the port or choose"):
            address.listen_all(f"localhost:{port}", "--y")
    for each in address.listen_all(f"localhost:{port}", "--y"):  # Nothing is left behind.
        each.close()


@needs_ipv6
def test_grpc_refuses_localhost_if_one_family_is_taken() -> None:
    from grpc_server.server import Server

    with address.listen("[::1]:0", "--x") as listener, pytest.raises(SetupError, match="Address already in use"):
        Server(ServerSettings(grpc_address=f"localhost:{listener.getsockname()[1]}")).bind()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "0.0.0.0"])
def test_other_hosts_are_one_address(host: str) -> None:
    if host == "[::1]" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    (listener,) = address.listen_all(f"{host}:0", "--x")
    listener.close()
