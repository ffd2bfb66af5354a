"""The servers under test, one row each. A new row is one entry of SERVERS."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.baselines.bare import ANSWER
from benchmarks.protocols import GrpcProtocol, HttpProtocol, WireProtocol
from benchmarks.workloads import AS_TRAINED, AUTO, CONVERTED, DEFAULT, ONNX, ROOT, SKLEARN, TREES
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
    tolerance: float = AS_TRAINED
    """Largest allowed difference from the model's own numbers."""
    workload: str = ""
    """The workload that it answers, if not that of the load."""
    missing: str = ""
    """Why it cannot run here, if so."""


DRAFTED = {name: f"drafted {name}" for name in ("iris", "forest", "boosting", "categories", "xgboost", "text")}
"""The names of the cases on contracts that `foretell init` drafts, by workload."""
SHIPPED = "make serve"
_BY_HAND = ("iris", "forest", "two cores", "mixed", "growth with rows", "growth with columns")
IRIS, FOREST, TWO_CORES, MIXED, ROWS, COLUMNS = (f"hand-made {name}" for name in _BY_HAND)
"""The names of the cases on contracts that are written for the benchmark."""

POST_OWN = "post's app, the post's model"
POST, POST_TWICE = "post's app", "post's app, two workers"
ONE_PROCESS = "foretell, REST and gRPC"


def module(*arguments: str) -> list[str]:
    """The command of a module, with this interpreter."""
    return [sys.executable, "-m", *arguments]


def _uvicorn(app: str, port: int) -> list[str]:
    return module("uvicorn", *app.split(), "--no-access-log", "--port", str(port))


def _post(name: str, says: str, cases: tuple[str, ...], workload: str = "", workers: int = 1) -> Server:
    app = f"--factory benchmarks.baselines.post_app:create_app --workers {workers}"
    return Server(name, says, HTTP, lambda _folder, port: _uvicorn(app, port), cases, workload=workload)


def _bare(name: str, says: str, command: list[str], cases: tuple[str, ...], missing: str = "") -> Server:
    """A gRPC server that echoes bytes; the port follows its command."""
    return Server(name, says, GRPC, lambda _folder, port: [*command, str(port)], cases, bare=lambda body: body, missing=missing)


def _grpc(name: str, says: str, cases: tuple[str, ...], models: str = SKLEARN, flags: str = "") -> Server:
    """A gRPC server of ours without a bridge."""

    def command(folder: Path, port: int) -> list[str]:
        return module("grpc_server", *_places(folder, models, grpc=port), *flags.split())

    return Server(name, says, GRPC, command, cases, models, probed=models == SKLEARN, tolerance=_tolerance(models))


def _serve(protocol: WireProtocol, name: str, says: str, cases: tuple[str, ...], models: str = SKLEARN, flags: str = "") -> Server:
    """`foretell serve`, loaded over one protocol, or over the other at the same time; the figures are those of the first."""

    def command(folder: Path, port: int) -> list[str]:
        first, other = ("http", "grpc") if protocol is HTTP else ("grpc", "http")
        return module("foretell", "serve", *_places(folder, models, **{first: port, other: port + 1}), *flags.split())

    other = GRPC if protocol is HTTP else HTTP
    return Server(name, says, protocol, command, cases, models, other=other, tolerance=_tolerance(models))


def _places(folder: Path, models: str, **ports: int) -> list[str]:
    addresses = [part for name, port in ports.items() for part in (f"--{name}-address", f"127.0.0.1:{port}")]
    return ["--models", str(folder / models), "--protos", str(folder / "protos"), *addresses]


def _tolerance(models: str) -> float:
    return AS_TRAINED if models == SKLEARN else CONVERTED


HTTP, GRPC = HttpProtocol(), GrpcProtocol()

_IN_PLACE = ("env", f"GRPC_EXPERIMENTS={NO_EVENT_ENGINE}")
_SYNC, _AIO = (module("benchmarks.baselines.bare", kind) for kind in ("sync", "aio"))
_CPP = ROOT / "build/grpc_echo"
_NO_CPP = "" if _CPP.is_file() else "build/grpc_echo is missing, which `make bench` compiles where libgrpc++-dev is installed"
_AS_IT_COMES = "`foretell serve` after `foretell init MODEL --data CSV --target y` or `make models/iris`, no other flag or setting"

SERVERS = (
    _post(
        POST,
        "the FastAPI app of the post, corrected, under uvicorn with one worker",
        (*DRAFTED.values(), IRIS, FOREST, ROWS, COLUMNS),
    ),
    _post(POST_OWN, "the same with another model than ours", (SHIPPED,), workload="post"),
    _post(POST_TWICE, "the same with two workers", (TWO_CORES,), workers=2),
    Server(
        "bare uvicorn",
        "an ASGI function that gives a constant answer: what any REST server in Python must stay below",
        HTTP,
        lambda _folder, port: _uvicorn("benchmarks.baselines.bare:app --lifespan off", port),
        (DRAFTED["iris"], IRIS),
        bare=lambda _body: ANSWER,
    ),
    _serve(GRPC, "foretell serve, gRPC", _AS_IT_COMES, (*DRAFTED.values(), SHIPPED), DEFAULT),
    _serve(HTTP, "foretell serve, REST", _AS_IT_COMES, (*DRAFTED.values(), SHIPPED), DEFAULT),
    _bare("bare gRPC in C++", "an asynchronous server that echoes bytes on one thread", [str(_CPP)], (DRAFTED["iris"],), _NO_CPP),
    _bare("bare grpcio sync", "grpc.server that echoes bytes, 16 threads", _SYNC, (DRAFTED["iris"], IRIS)),
    _bare("bare grpcio aio", "grpc.aio.server on uvloop that echoes bytes", _AIO, (IRIS,)),
    _bare("bare grpcio sync, in place", "as ours without gRPC's event engine; no bar is about it", [*_IN_PLACE, *_SYNC], (IRIS,)),
    _bare("bare grpcio aio, in place", "likewise", [*_IN_PLACE, *_AIO], (IRIS,)),
    _grpc("foretell gRPC", "`python -m grpc_server`: rules checked, model run", (IRIS, FOREST, TWO_CORES, ROWS, COLUMNS)),
    _grpc("foretell gRPC, ONNX", "the same, added with `--accelerate onnx`", (IRIS, FOREST, TWO_CORES, ROWS), ONNX),
    _grpc("foretell gRPC, workers", "in worker processes, `--placement process`", (FOREST,), flags="--placement process"),
    _grpc("foretell gRPC, trees", "the same, added with `--accelerate trees`", (FOREST,), TREES),
    _grpc("foretell gRPC, auto", "the same, added with `--accelerate auto`", (FOREST,), AUTO),
    _grpc("foretell gRPC, aio shell", "on grpcio's public asyncio server, `--shell aio`", (IRIS,), flags="--shell aio"),
    _grpc("foretell gRPC, aio shell, ONNX", "the same, added with `--accelerate onnx`", (IRIS,), ONNX, "--shell aio"),
    _serve(HTTP, "foretell REST", "`foretell serve`: server and bridge in one process", (IRIS, FOREST, TWO_CORES, ROWS, COLUMNS)),
    _serve(HTTP, "foretell REST, two processes", "in two processes, `--bridge beside`", (IRIS,), flags="--bridge beside"),
    _serve(HTTP, "foretell REST, two processes, ONNX", "the same, with ONNX", (IRIS,), ONNX, "--bridge beside"),
    _serve(GRPC, "foretell gRPC, every core", "`foretell serve --processes auto`", (TWO_CORES,), flags="--processes auto"),
    _serve(GRPC, "foretell gRPC, every core, ONNX", "the same, with ONNX", (TWO_CORES,), ONNX, "--processes auto"),
    _serve(HTTP, "foretell REST, every core", "the same, asked over REST", (TWO_CORES,), flags="--processes auto"),
    _serve(HTTP, "foretell REST, every core, ONNX", "the same, with ONNX", (TWO_CORES,), ONNX, "--processes auto"),
    _serve(HTTP, ONE_PROCESS, "`foretell serve`, asked over REST and gRPC at once", (MIXED,)),
    _serve(HTTP, "foretell, REST and gRPC, two processes", "the same with `--bridge beside`", (MIXED,), flags="--bridge beside"),
    _serve(HTTP, "foretell REST, ONNX", "the same, added with `--accelerate onnx`", (IRIS, TWO_CORES, ROWS), ONNX),
    _serve(HTTP, "foretell REST, auto", "the same, added with `--accelerate auto`", (FOREST,), AUTO),
)
