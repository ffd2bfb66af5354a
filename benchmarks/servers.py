"""The servers under test, a row each, and how one is started, watched and stopped."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare import ANSWER
from benchmarks.doors import Door, GrpcDoor, HttpDoor, Request
from benchmarks.tree import kill_tree
from benchmarks.workloads import ROOT

CORES = sorted(os.sched_getaffinity(0))
STARTING, STOPPING = 90.0, 20.0


@dataclass(frozen=True, slots=True)
class Server:
    """One row of the comparison."""

    name: str
    says: str
    """What the row is, in words."""
    door: Door
    command: Callable[[Path, int], list[str]]
    """Arguments of `python -m`, from the folder of `workloads.prepare` and a free port."""
    bare: Callable[[bytes], bytes] | None = None
    """What a server without a model answers to a body; it is asked single rows only."""


POST = "post's app"

SERVERS = (
    Server(
        POST,
        "the FastAPI app of the post, its flaws corrected, under uvicorn with one worker (uvloop, httptools, no access log)",
        HttpDoor(),
        lambda _folder, port: f"uvicorn --factory benchmarks.post_app:create_app --port {port} --no-access-log".split(),
    ),
    Server(
        "bare uvicorn",
        "an ASGI function that gives a constant answer: what any REST server in Python must stay below",
        HttpDoor(),
        lambda _folder, port: f"uvicorn benchmarks.bare:app --port {port} --no-access-log --lifespan off".split(),
        bare=lambda _body: ANSWER,
    ),
    Server(
        "bare grpcio sync",
        "grpc.server that echoes bytes, 16 threads",
        GrpcDoor(),
        lambda _folder, port: ["benchmarks.bare", "sync", str(port)],
        bare=lambda body: body,
    ),
    Server(
        "bare grpcio aio",
        "grpc.aio.server on uvloop that echoes bytes",
        GrpcDoor(),
        lambda _folder, port: ["benchmarks.bare", "aio", str(port)],
        bare=lambda body: body,
    ),
    Server(
        "foretell gRPC",
        "`python -m grpc_server`: rules checked, model run",
        GrpcDoor(),
        lambda folder, port: ["grpc_server", *_flags(folder, grpc=port)],
    ),
    Server(
        "foretell gRPC, aio shell",
        "the same on grpcio's public asyncio server, `--shell aio`",
        GrpcDoor(),
        lambda folder, port: ["grpc_server", *_flags(folder, grpc=port), "--shell", "aio"],
    ),
    Server(
        "foretell REST",
        "`foretell serve`: the bridge process, a Unix socket, the gRPC server process",
        HttpDoor(),
        lambda folder, port: ["foretell", "serve", *_flags(folder, grpc=0, http=port)],
    ),
)


def _flags(folder: Path, **ports: int) -> list[str]:
    addresses = [part for door, port in ports.items() for part in (f"--{door}-address", f"127.0.0.1:{port}")]
    return ["--models", str(folder / "models"), "--protos", str(folder / "protos"), *addresses]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that has answered."""

    pid: int
    port: int
    started: float
    """Seconds from its start to its first right answer."""


@contextmanager
def running(server: Server, folder: Path, request: Request) -> Iterator[Running]:
    """Start a server on a free port of the loopback and wait for its answer to `request`; stop it at the end, whatever happens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FORETELL_")}
    log = folder / "server.log"
    start = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*pinned(0), sys.executable, "-m", *server.command(folder, port)],
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(ROOT), "POST_APP_MODELS": str(folder / "post")},
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C is for the harness, which then stops the server.
        )
    try:
        answer = _first_answer(server, process, port, request, log)
        started = time.monotonic() - start
        request.check(answer, server.bare and server.bare(request.body))
        yield Running(process.pid, port, started)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to stop, and kill it with all its processes where it does not, or where Ctrl-C comes once more."""
    try:
        process.terminate()
        process.wait(STOPPING)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()


def pinned(core: int) -> list[str]:
    """The prefix that keeps a command to the server's core (0) or the load's (1); nothing where there is one core only."""
    return ["taskset", "--cpu-list", str(CORES[core])] if len(CORES) > 1 else []


def _first_answer(server: Server, process: subprocess.Popen[bytes], port: int, request: Request, log: Path) -> bytes:
    deadline = time.monotonic() + STARTING
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server.door.ask(port, request)
        time.sleep(0.02)
    raise RuntimeError(f"{server.name} did not start:\n{log.read_text()[-2000:]}")
