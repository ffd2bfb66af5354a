"""Containers of the compose file as processes: health, predictions, stop, replacement, rights."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx2
import pytest

from tests.support.deployment.containers import Place, Running, Walled, healthcheck, run, started
from tests.support.deployment.images import SERVICES, container
from tests.support.iris import EXAMPLE

pytestmark = pytest.mark.slow


@contextmanager
def both(place: Place) -> Iterator[tuple[Running, Running]]:
    with started(place, container("grpc_server")) as server:
        described, port = container("rest_bridge"), server.address.rpartition(":")[2]
        target = described.environment["FORETELL_TARGET"].replace("50051", port)
        with started(place, described, FORETELL_TARGET=target) as bridge:
            yield server, bridge


def predict(bridge: Running, **changes: float) -> httpx2.Response:
    return httpx2.post(f"http://{bridge.address}/predict", json=EXAMPLE | changes, trust_env=False)


def test_both_serve_and_stop_cleanly(place: Place) -> None:
    with both(place) as (server, bridge):
        assert server.healthcheck() == 0
        wait_until_healthy(bridge, seconds=60)
        nowhere = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy"), "http://127.0.0.1:1")
        assert server.healthcheck(**nowhere) == 0  # A health check uses no proxy.
        assert bridge.healthcheck(**nowhere) == 0
        assert predict(bridge).status_code == 200
        assert predict(bridge, sepal_length=-1).status_code == 422
        assert bridge.stop() == 0
        assert bridge.healthcheck() == 1
        assert server.stop() == 0
        assert server.healthcheck() == 1


def test_bridge_reconnects_to_a_new_server(in_the_open: Place) -> None:
    with both(in_the_open) as (server, bridge):
        assert server.stop() == 0
        assert bridge.healthcheck() == 1
        refused = predict(bridge)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        with started(in_the_open, server.container, server.address) as successor:
            assert successor.healthcheck() == 0
            wait_until_healthy(bridge, seconds=60)
            assert predict(bridge).status_code == 200


def wait_until_healthy(bridge: Running, seconds: float) -> None:
    """Run the health check again and again, as an engine does; starting its process is the pause."""
    last = time.monotonic() + seconds
    while bridge.healthcheck() != 0:
        assert time.monotonic() < last


@pytest.mark.parametrize("name", SERVICES)
def test_health_check_fails_before_listening(place: Place, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        check = healthcheck(place, container(name), f"127.0.0.1:{taken.getsockname()[1]}")
    assert check.returncode == 1
    assert "Connection refused" in check.stderr


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("path", ["/", "/srv", "/srv/protos", "/opt/foretell", "/etc", "/var", "/root"])
def test_only_tmp_is_writable(walled: Walled, name: str, path: str) -> None:
    as_root = replace(container(name), user="0:0")  # So that the read-only root refuses, not the folder's owner.
    assert run(walled, as_root, "sh", "-c", "echo > /tmp/file").returncode == 0
    wrote = run(walled, as_root, "sh", "-c", f"mkdir -p {path} && echo > {path}/file")
    assert "Read-only file system" in wrote.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_process_cannot_become_root(walled: Walled, name: str) -> None:
    lines = run(walled, container(name), "cat", "/proc/self/status").stdout.splitlines()
    facts = {fact: value.split() for fact, _, value in (line.partition(":") for line in lines)}
    assert facts["Uid"] == ["10001"] * 4
    assert facts["Gid"] == ["10001"] * 4
    assert {*facts["CapPrm"], *facts["CapEff"], *facts["CapBnd"]} == {"0" * 16}
    assert facts["NoNewPrivs"] == ["1"]
