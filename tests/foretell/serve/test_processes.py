"""Several server processes on the same ports: connections, restarts, and refusal of other listeners."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest

from foretell.serve.process_layout import process_count, thread_limits, worker_count
from foretell.settings import ServeSettings
from grpc_server.workers.cost import cores
from tests.conftest import PROTOS
from tests.foretell.serve.test_serve_command import alive, answers, children, ends
from tests.support.iris import EXAMPLE
from tests.support.processes import LAYOUTS, NO_TLS, Foretell, foretell, refused, until

pytestmark = pytest.mark.slow

CONNECTIONS = 40
"""Enough that each of two processes gets one, except once in 2^39 runs."""


@pytest.fixture(scope="module")
def two(steady: Path) -> Iterator[Foretell]:
    with foretell(steady, *LAYOUTS["two"][0]) as started:
        yield started


def established(pid: int, port: int) -> int:
    """Number of connections that a process has accepted on a port."""
    tables = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()  # gRPC's are in the second.
    entries = [line.split() for line in tables.splitlines()]
    ours = {f"socket:[{entry[9]}]" for entry in entries if entry[1].endswith(f":{port:04X}") and entry[3] == "01"}
    return sum(os.path.islink(file) and os.readlink(file) in ours for file in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.parametrize("listener", ["grpc", "http"])
def test_processes_share_connections(two: Foretell, listener: str) -> None:
    port = int(getattr(two, listener).rpartition(":")[2])
    with ExitStack() as opened:
        for _ in range(CONNECTIONS):
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        pids = [pid for _, pid in children(two.process)]
        until(lambda: sum(established(pid, port) for pid in pids) == CONNECTIONS)
        assert all(established(pid, port) for pid in pids)


@pytest.mark.parametrize(("listener", "layout"), [("grpc", "inside"), ("http", "two")])
def test_second_foretell_on_a_port_is_refused(two: Foretell, steady: Path, listener: str, layout: str) -> None:
    taken = two.grpc if listener == "grpc" else two.http.removeprefix("http://")
    addresses = {"grpc_address": "127.0.0.1:0", "http_address": "127.0.0.1:0", f"{listener}_address": taken}
    code, stderr = refused("foretell", "serve", *LAYOUTS[layout][0], models=str(steady), protos=str(PROTOS), **addresses)
    assert (code, stderr.count("\n")) == (2, 1), stderr
    assert f"cannot listen on {taken}: Address already in use; free the port or choose another --{listener}-address" in stderr


def test_single_process_does_not_share_its_port(steady: Path) -> None:
    """grpcio's servers share ports by default."""
    with foretell(steady) as running:
        stranger = grpc.server(None)  # type: ignore[arg-type]  # it never starts
        with pytest.raises(RuntimeError):
            stranger.add_insecure_port(running.grpc)


@pytest.mark.parametrize(
    ("layout", "module", "number"),
    [("two", "foretell.serve.server_and_bridge", signal.SIGINT), ("two-beside", "grpc_server", signal.SIGTERM)],
)
def test_others_answer_during_a_restart(steady: Path, layout: str, module: str, number: int) -> None:
    with foretell(steady, *LAYOUTS[layout][0]) as running:
        before = children(running.process)
        killed = next(pid for name, pid in before if name == module)
        os.kill(killed, signal.SIGKILL)
        until(lambda: not alive(killed))
        for _ in range(10):
            with grpc.insecure_channel(running.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                check = channel.unary_unary("/grpc.health.v1.Health/Check")
                assert check(b"", timeout=10, wait_for_ready=True) == b"\x08\x01"
            if module == "foretell.serve.server_and_bridge":
                assert httpx2.post(f"{running.http}/predict", json=EXAMPLE, timeout=10, verify=NO_TLS).status_code == 200
        until(lambda: len(children(running.process)) == len(before))
        until(lambda: all(answers(running) for _ in range(10)))
        ends(running, layout, number)


def test_hanging_process_is_restarted(steady: Path) -> None:
    with foretell(steady, hang_seconds="3") as running:
        ((_, hanging),) = children(running.process)
        os.kill(hanging, signal.SIGSTOP)
        until(lambda: not alive(hanging))
        until(lambda: answers(running))
        assert running.stop() == 0


def test_banner_appears_once_all_are_ready(two: Foretell) -> None:
    assert two.banner.count("Foretell is ready.") == 1
    assert all(httpx2.get(f"{two.http}/readyz", verify=NO_TLS).status_code == 200 for _ in range(20))


def test_grpc_socket_refuses_several_processes(steady: Path, tmp_path: Path) -> None:
    code, stderr = refused("foretell", "serve", "--processes", "2", models=str(steady), grpc_socket=str(tmp_path / "s"))
    assert code == 2
    assert re.fullmatch(r"foretell: grpc_socket \S+ is for one process: leave it out, or set processes to 1\n", stderr)


def test_auto_is_one_process_per_core() -> None:
    assert process_count(ServeSettings(processes="auto")) == cores()
    assert process_count(ServeSettings()) == 1


@pytest.mark.parametrize("count", [2, 3, 64])
@pytest.mark.parametrize("given", ["auto", 1, 3])
def test_workers_and_threads_stay_within_cores(count: int, given: Any) -> None:
    settings = ServeSettings(workers=given)
    each = worker_count(settings, count)
    assert each == (max(1, cores() // count) if given == "auto" else given)
    assert count * each * int(thread_limits(settings, count)["OMP_NUM_THREADS"]) <= max(count * each, cores())


def test_workers_are_divided_among_processes(steady: Path) -> None:
    """Also if the environment, which the processes inherit, sets `auto`."""
    with foretell(steady, *LAYOUTS["two"][0], "--placement", "process", workers="auto") as running:
        assert answers(running)
        done = subprocess.run(
            [sys.executable, "-m", "foretell", "models", "--json", "--target", running.grpc], capture_output=True, check=True
        )
        (listed,) = json.loads(done.stdout)["models"]
        assert (listed["placement"], listed["workers"]) == ("PLACEMENT_PROCESS", max(1, cores() // 2))
