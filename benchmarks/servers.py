"""The servers under test, one row each. A new row is one entry of SERVERS."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare import ANSWER
from benchmarks.protocols import GrpcProtocol, HttpProtocol, WireProtocol
from benchmarks.workloads import AUTO, ONNX, SKLEARN, TREES
from foretell_lifecycle.grpc_polling import NO_EVENT_ENGINE


@dataclass(frozen=True, slots=True)
class Server:
    """One row of the comparison."""

    name: str
    says: str
    """Description of the row."""
    protocol: WireProtocol
    command: Callable[[Path, int], list[str]]
    """The arguments that start it, from the folder of `workloads.prepare` and a free port."""
    cases: tuple[str, ...]
    """The cases it takes part in."""
    models: str = SKLEARN
    """The kind of repository it serves from."""
    bare: Callable[[bytes], bytes] | None = None
    """The answer of a server without a model to a body; it only gets single rows."""
    probed: bool = False
    """Whether it takes part in loads with health checks."""
    other: WireProtocol | None = None
    """The protocol on the next port, if it has one."""
    tolerance: float = 1e-9
    """Largest allowed difference from scikit-learn's probabilities."""


IRIS, FOREST, TWO_CORES, MIXED, ROWS, COLUMNS = "iris", "forest", "two-cores", "mixed", "growth-rows", "growth-columns"
"""The names of the cases."""

POST, POST_TWICE = "post's app", "post's app, two workers"
ONE_PROCESS = "foretell, REST and gRPC"


def module(*arguments: str) -> list[str]:
    """The command of a module, with this interpreter."""
    return [sys.executable, "-m", *arguments]


def _post(port: int, workers: int) -> list[str]:
    post = ["--factory", "benchmarks.post_app:create_app", "--no-access-log"]
    return module("uvicorn", *post, "--port", str(port), "--workers", str(workers))


def _echo(name: str, says: str, kind: str, *before: str) -> Server:
    """A bare gRPC server; `before` goes in front of its command."""

    def command(_folder: Path, port: int) -> list[str]:
        return [*before, *module("benchmarks.bare", kind, str(port))]

    return Server(name, says, GRPC, command, (IRIS,), bare=lambda body: body)


def _grpc(name: str, says: str, cases: tuple[str, ...], models: str = SKLEARN, flags: str = "") -> Server:
    """A gRPC server of ours without a bridge."""

    def command(folder: Path, port: int) -> list[str]:
        return module("grpc_server", *_places(folder, models, grpc=port), *flags.split())

    return Server(name, says, GRPC, command, cases, models, probed=models == SKLEARN, tolerance=_tolerance(models))


def _serve(
    name: str, says: str, cases: tuple[str, ...], models: str = SKLEARN, flags: str = "", *, protocol: WireProtocol
) -> Server:
    """`foretell serve`, loaded over one protocol."""

    def command(folder: Path, port: int) -> list[str]:
        ports = {"grpc": 0, "http": port} if protocol is HTTP else {"grpc": port, "http": 0}
        return module("foretell", "serve", *_places(folder, models, **ports), *flags.split())

    return Server(name, says, protocol, command, cases, models, tolerance=_tolerance(models))


def _both(name: str, says: str, flags: str = "") -> Server:
    """`foretell serve`, loaded over REST and gRPC at the same time; the figures are those of REST."""

    def command(folder: Path, port: int) -> list[str]:
        return module("foretell", "serve", *_places(folder, SKLEARN, http=port, grpc=port + 1), *flags.split())

    return Server(name, says, HTTP, command, (MIXED,), other=GRPC)


def _places(folder: Path, models: str, **ports: int) -> list[str]:
    addresses = [part for name, port in ports.items() for part in (f"--{name}-address", f"127.0.0.1:{port}")]
    return ["--models", str(folder / models), "--protos", str(folder / "protos"), *addresses]


def _tolerance(models: str) -> float:
    return 1e-9 if models == SKLEARN else 1e-6  # What `--accelerate` promises.


HTTP, GRPC = HttpProtocol(), GrpcProtocol()

_IN_PLACE = ("env", f"GRPC_EXPERIMENTS={NO_EVENT_ENGINE}")

SERVERS = (
    Server(
        POST,
        "the FastAPI app of the post, its flaws corrected, under uvicorn with one worker (uvloop, httptools, no access log)",
        HTTP,
        lambda _folder, port: _post(port, 1),
        (IRIS, FOREST, ROWS, COLUMNS),
    ),
    Server(POST_TWICE, "the same with two workers", HTTP, lambda _folder, port: _post(port, 2), (TWO_CORES,)),
    Server(
        "bare uvicorn",
        "an ASGI function that gives a constant answer: what any REST server in Python must stay below",
        HTTP,
        lambda _folder, port: module(*f"uvicorn benchmarks.bare:app --port {port} --no-access-log --lifespan off".split()),
        (IRIS,),
        bare=lambda _body: ANSWER,
    ),
    _echo("bare grpcio sync", "grpc.server that echoes bytes, 16 threads", "sync"),
    _echo("bare grpcio aio", "grpc.aio.server on uvloop that echoes bytes", "aio"),
    _echo("bare grpcio sync, in place", "the same without gRPC's event engine, as ours; no bar is about it", "sync", *_IN_PLACE),
    _echo("bare grpcio aio, in place", "likewise", "aio", *_IN_PLACE),
    _grpc("foretell gRPC", "`python -m grpc_server`: rules checked, model run", (IRIS, FOREST, TWO_CORES, ROWS, COLUMNS)),
    _grpc("foretell gRPC, ONNX", "the same, added with `--accelerate onnx`", (IRIS, FOREST, TWO_CORES, ROWS), ONNX),
    _grpc(
        "foretell gRPC, workers",
        "with the model in worker processes, `--placement process`",
        (FOREST,),
        flags="--placement process",
    ),
    _grpc("foretell gRPC, trees", "the same, added with `--accelerate trees`", (FOREST,), TREES),
    _grpc("foretell gRPC, auto", "the same, added with `--accelerate auto`", (FOREST,), AUTO),
    _grpc("foretell gRPC, aio shell", "on grpcio's public asyncio server, `--shell aio`", (IRIS,), flags="--shell aio"),
    _grpc("foretell gRPC, aio shell, ONNX", "the same, added with `--accelerate onnx`", (IRIS,), ONNX, "--shell aio"),
    _serve(
        "foretell REST",
        "`foretell serve`: one process, in which the bridge calls the server directly",
        (IRIS, FOREST, TWO_CORES, ROWS, COLUMNS),
        protocol=HTTP,
    ),
    _serve(
        "foretell REST, two processes",
        "the bridge in a process of its own, calling over a Unix socket, `--bridge beside`",
        (IRIS,),
        flags="--bridge beside",
        protocol=HTTP,
    ),
    _serve("foretell REST, two processes, ONNX", "the same, with ONNX", (IRIS,), ONNX, "--bridge beside", protocol=HTTP),
    _serve(
        "foretell gRPC, every core",
        "`foretell serve --processes auto`, asked over gRPC",
        (TWO_CORES,),
        flags="--processes auto",
        protocol=GRPC,
    ),
    _serve("foretell gRPC, every core, ONNX", "the same, with ONNX", (TWO_CORES,), ONNX, "--processes auto", protocol=GRPC),
    _serve("foretell REST, every core", "the same, asked over REST", (TWO_CORES,), flags="--processes auto", protocol=HTTP),
    _serve("foretell REST, every core, ONNX", "the same, with ONNX", (TWO_CORES,), ONNX, "--processes auto", protocol=HTTP),
    _both(ONE_PROCESS, "`foretell serve`, asked over REST and gRPC at once"),
    _both("foretell, REST and gRPC, two processes", "the same with the bridge in a process of its own", "--bridge beside"),
    _serve("foretell REST, ONNX", "the same, added with `--accelerate onnx`", (IRIS, TWO_CORES, ROWS), ONNX, protocol=HTTP),
    _serve("foretell REST, auto", "the same, added with `--accelerate auto`", (FOREST,), AUTO, protocol=HTTP),
)
