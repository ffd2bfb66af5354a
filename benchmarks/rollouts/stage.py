"""A server with a repository, ways to change its route table, and the outcome of each change."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import joblib

from benchmarks import workloads
from benchmarks.process import running
from benchmarks.protocols import GrpcProtocol, HttpProtocol, WireProtocol
from benchmarks.rollouts.traffic import GRPC_CALLERS, GRPC_CONNECTIONS, REST_CALLERS, Stream
from benchmarks.servers import Server, module
from benchmarks.workloads import SKLEARN, Workload
from foretell_contract.contract import MODEL_SERVICE, load
from foretell_contract.source.compiler import SHIPPED
from grpc_server.store.manifest import GOLDEN, Manifest
from grpc_server.store.repository import Repository, sha256
from grpc_server.store.route_table import PRODUCTION, Attribution, RouteTable
from grpc_server.store.route_table_files import RouteTableFiles

GATE_SECONDS = 10
MAX_ROW_SECONDS = 0.1
_SETTINGS = {"FORETELL_GATE_SECONDS": str(GATE_SECONDS), "FORETELL_MAX_ROW_SECONDS": str(MAX_ROW_SECONDS)}

_LOOK_EVERY = 0.05
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a change of the route table."""

    start: float
    """When it was written, seconds since the epoch."""
    end: float
    """When the server had followed or refused it."""
    gate: str
    """The gate that refused the version; empty if it is served."""


class Stage:
    """The server, its repository, and its callers' load. For one thread."""

    def __init__(self, folder: Path, workload: Workload, grpc_port: int, http_port: int) -> None:
        self.workload = workload
        self.log = folder / "server.log"
        self._repository = Repository(folder / SKLEARN)
        self._store = RouteTableFiles(self._repository)
        doors = (
            (GrpcProtocol(), grpc_port, GRPC_CALLERS, GRPC_CONNECTIONS),
            (HttpProtocol(), http_port, REST_CALLERS, REST_CALLERS),
        )
        self.streams = tuple(self._stream(folder, *door) for door in doors)
        self._response = load(SHIPPED).message("foretell.v1.ListModelsResponse")
        self._channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}", [("grpc.enable_http_proxy", 0)])
        self._list: Any = self._channel.unary_unary(f"/{MODEL_SERVICE}/ListModels")

    def close(self) -> None:
        """Close the connection to the server."""
        self._channel.close()

    def add(self, model: Any) -> str:
        """Add a model without checks; the version. Its golden row holds the answer of the workload's model."""
        artifact = BytesIO()
        joblib.dump(model, artifact)
        files = {"model.joblib": artifact.getvalue(), GOLDEN: _golden(self.workload)}
        manifest = Manifest(
            format="joblib",
            artifact="model.joblib",
            files={name: sha256(data) for name, data in files.items()},
            libraries={},
            columns=self.workload.columns,
            classes=tuple(map(str, self.workload.estimator.classes_)),
            created=datetime.now(UTC),
        )
        return self._repository.add(self.workload.name, manifest, files)

    def promote(self, version: str) -> Outcome:
        """Point production at a version, and wait for the server."""
        return self._change(lambda routes, author: routes.promote(version, PRODUCTION, author), version)

    def rollback(self) -> Outcome:
        """Point production at the version before, and wait for the server."""
        return self._change(lambda routes, author: routes.rollback(PRODUCTION, author))

    def shadow(self, version: str) -> Outcome:
        """Make a version the shadow, and wait for the server."""
        return self._change(lambda routes, author: routes.with_shadow(version, author), version)

    @property
    def flips(self) -> list[float]:
        """Milliseconds from the change of the route table to the routing that it asks for, of every change of production so far."""
        return [float(ms) for ms in re.findall(r"answers from now on \(generation \d+, after ([\d.]+) ms\)", self.log.read_text())]

    def compared(self) -> tuple[int, int]:
        """Rows that the shadow has answered, and skipped calls."""
        shadow = self._following().shadow
        return shadow.compared, shadow.left_out

    def _change(self, edit: Callable[[RouteTable, Attribution], RouteTable], version: str = "") -> Outcome:
        author = Attribution("benchmark", "", datetime.now(UTC))
        start = time.time()
        routes = self._store.change(self.workload.name, lambda routes: edit(routes, author))
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            following = self._following()
            if following.generation >= routes.generation and (not version or following.loading != version):
                refused = following.refused
                failed = bool(version) and refused.version == version and refused.generation >= routes.generation
                return Outcome(start, time.time(), refused.gate if failed else "")
            time.sleep(_LOOK_EVERY)
        raise RuntimeError(f"the server does not follow generation {routes.generation}")

    def _following(self) -> Any:
        response: Any = self._response.FromString(self._list(b"", timeout=30))
        return next(following for following in response.following if following.name == self.workload.name)

    def _stream(self, folder: Path, door: WireProtocol, port: int, callers: int, connections: int) -> Stream:
        request = door.request(folder, self.workload, 1)
        (answer,) = door.send(port, request)
        request.check(answer, None, 1e-9)
        return Stream(door, port, request, answer, callers, connections)


@contextmanager
def stage() -> Iterator[Stage]:
    """Train the iris model and serve it over gRPC and REST, by a route table. No process is pinned to a core."""
    with TemporaryDirectory(prefix="foretell-rollouts-") as name:
        folder, workload = Path(name), workloads.iris()
        workloads.prepare(folder, [workload], [SKLEARN])
        store = RouteTableFiles(Repository(folder / SKLEARN))
        author = Attribution("benchmark", "", datetime.now(UTC))
        store.change(workload.name, lambda routes: routes.promote("1", PRODUCTION, author))
        server = Server("foretell", "`foretell serve`", GrpcProtocol(), _command, ())
        with running(server, folder, GrpcProtocol().request(folder, workload, 1), None, _SETTINGS) as process:
            ready = Stage(folder, workload, process.port, _http_port(folder / "server.log"))
            try:
                yield ready
            finally:
                ready.close()


def _http_port(log: Path) -> int:
    """The REST port, which the server prints when it is ready."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        line = re.search(r"REST +http://[^:\s]+:(\d+)", log.read_text())
        if line is not None:
            return int(line[1])
        time.sleep(_LOOK_EVERY)
    raise RuntimeError("the server does not print its REST port")


def _command(folder: Path, port: int) -> list[str]:
    places = ["--models", str(folder / SKLEARN), "--protos", str(folder / "protos")]
    return module("foretell", "serve", *places, "--grpc-address", f"127.0.0.1:{port}", "--http-address", "127.0.0.1:0")


def _golden(workload: Workload) -> bytes:
    row, (answer,) = workload.rows(1), workload.estimator.predict_proba(workload.rows(1))
    facts = {
        "features": dict(zip(workload.columns, row[0].tolist(), strict=True)),
        "probabilities": dict(zip(map(str, workload.estimator.classes_), answer.tolist(), strict=True)),
    }
    return json.dumps(facts).encode()
