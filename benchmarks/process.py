"""Starts a server under test on a core, waits for its first answer, and stops it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.protocols import Request
from benchmarks.servers import Server
from benchmarks.tree import kill_tree
from benchmarks.workloads import ROOT

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = 0, 1
STARTING, STOPPING = 90.0, 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that has answered once."""

    pid: int
    port: int
    started: float
    """Seconds from its start to its first correct answer."""


@contextmanager
def running(
    server: Server, folder: Path, request: Request, core: int | None = SERVER_CORE, settings: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Start a server on a free loopback port whose successor is free too, wait for its answer to `request`, and stop it at the end.

    `settings` are environment variables. Raises RuntimeError if it does not start, WrongAnswer if its answer is wrong.
    """
    port = _free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FORETELL_")}
    log = folder / "server.log"
    start = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*pinned(core), *server.command(folder, port)],
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(ROOT), "POST_APP_MODELS": str(folder / "post")} | dict(settings or {}),
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C reaches only the benchmark, which then stops the server.
        )
    try:
        answer = _first_answer(server, process, port, request, log)
        started = time.monotonic() - start
        request.check(answer, server.bare and server.bare(request.body), server.tolerance)
        yield Running(process.pid, port, started)
    finally:
        stop(process)


def _free_port() -> int:
    """A free port whose successor is free too."""
    while True:
        with socket.socket() as free, socket.socket() as other, suppress(OSError, OverflowError):
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
            other.bind(("127.0.0.1", port + 1))
            return port


def pinned(core: int | None) -> list[str]:
    """Command prefix that pins to a core; empty for None, or if there is only one core."""
    return ["taskset", "--cpu-list", str(CORES[core])] if core is not None and len(CORES) > 1 else []


def stop(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM; kill the process tree if it does not end in time, or at another Ctrl-C."""
    try:
        process.terminate()
        process.wait(STOPPING)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()
        with suppress(ProcessLookupError):  # Some servers leave workers behind.
            os.killpg(process.pid, signal.SIGKILL)


def _first_answer(server: Server, process: subprocess.Popen[bytes], port: int, request: Request, log: Path) -> bytes:
    deadline = time.monotonic() + STARTING
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server.protocol.send(port, request)[0]
        time.sleep(0.01)
    raise RuntimeError(f"{server.name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
