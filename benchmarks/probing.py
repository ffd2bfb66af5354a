"""Health checks during a load: `python -m benchmarks.probing PORT` checks every few milliseconds until its stdin ends.

It prints `ready` after the first answer, and at the end the milliseconds of every check, as JSON. A check is timed from when it was
due, so a delay by the check before it counts.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.process import pinned
from benchmarks.workloads import ROOT

EVERY = 0.005


def probe(port: int, ended: threading.Event) -> list[float]:
    """Milliseconds of each check, one every EVERY seconds. Raises RuntimeError if the server is not SERVING."""
    taken: list[float] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        check(health_pb2.HealthCheckRequest(), timeout=10)
        print("ready", flush=True)
        due = time.perf_counter()
        while not taken or not ended.is_set():
            due += EVERY
            time.sleep(max(0.0, due - time.perf_counter()))
            if check(health_pb2.HealthCheckRequest(), timeout=10).status != health_pb2.HealthCheckResponse.SERVING:
                raise RuntimeError("the server is not SERVING")
            taken.append((time.perf_counter() - due) * 1000)
    return taken


@contextmanager
def probing(port: int, core: int | None) -> Iterator[list[float]]:
    """Check a server's health from another process; after the block, the list has the milliseconds of every check."""
    taken: list[float] = []
    command = [*pinned(core), sys.executable, "-m", "benchmarks.probing", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if not process.stdout or process.stdout.readline() != "ready\n":
            raise RuntimeError("the health checks did not start")
        yield taken
        printed, _ = process.communicate()
        if process.returncode:
            raise RuntimeError("a health check failed")
        taken += json.loads(printed)


def _probe_until_input_ends() -> None:
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    print(json.dumps(probe(int(sys.argv[1]), ended)))


if __name__ == "__main__":
    _probe_until_input_ends()
