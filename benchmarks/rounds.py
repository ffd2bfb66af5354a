"""Runs the rounds. Every server has a turn in each round, so that other load on the machine affects all alike."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

import joblib
import numpy as np

from benchmarks import workloads
from benchmarks.cases import Case, Load
from benchmarks.load import Answered, NoAnswer, call
from benchmarks.probing import probing
from benchmarks.process import LOAD_CORE, SERVER_CORE, Running, pinned, running
from benchmarks.protocols import Request, WireProtocol, WrongAnswer
from benchmarks.servers import Server
from benchmarks.tree import loaded, settle, usage
from benchmarks.workloads import AS_TRAINED, AUTO, CONVERTED, DEFAULT, ONNX, ROOT, SKLEARN, TREES, Workload, stored
from foretell_contract.errors import SetupError

ALONE = {SKLEARN: "model alone", ONNX: "model alone, ONNX", TREES: "model alone, trees"}
"""Names of the rows without a server, by kind of model."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one server under one load."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu: float
    """CPU seconds of the whole process tree per 1,000 requests."""
    switches: float = 0.0
    """Context switches per request, of the threads that have not ended."""
    rss_mib: float = 0.0
    """Peak of the process tree so far."""
    start: float = 0.0
    """Seconds from start to first answer."""
    sklearn: int = 0
    """Number of processes that have loaded scikit-learn."""
    health_p99_ms: float = 0.0
    """Of the health checks at the same time; 0 without any."""
    other_per_second: float = 0.0
    """Over the other protocol at the same time; `cpu` and `switches` are then per request of either."""
    other_p99_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """One cell of the report, in one round."""

    round: int
    case: str
    server: str
    load: Load
    figures: Figures


@dataclass(frozen=True, slots=True)
class Failure:
    """A turn without figures, and why."""

    round: int
    case: str
    server: str
    why: str


@dataclass(slots=True)
class Measured:
    """All results and failures of a run."""

    results: list[Result] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    picked: dict[str, dict[str, str]] = field(default_factory=dict)
    """The format that is served where nothing or `--accelerate auto` demands one, by case and model."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The files of a case on disk, and its workloads."""

    case: Case
    folder: Path
    served: dict[str, Workload]
    _requests: dict[tuple[WireProtocol, str, int], Request] = field(default_factory=dict)

    def request(self, protocol: WireProtocol, load: Load, workload: str = "") -> Request:
        """The request of a load in a protocol, about its workload or another."""
        key = (protocol, workload or load.workload, load.rows)
        if key not in self._requests:
            self._requests[key] = protocol.request(self.folder, self.served[key[1]], load.rows)
        return self._requests[key]

    def single_rows(self, server: Server) -> list[Request]:
        """A request for each row that the models of the server's answers were trained on."""
        names = dict.fromkeys(server.workload or load.workload for load in self.case.loads)
        return [server.protocol.request(self.folder, row, 1) for name in names for row in self.served[name].single_rows()]

    def tolerance(self, server: Server) -> float:
        """Largest allowed difference from the model's own numbers: that of the server, or by what it serves in this case."""
        if server.models != DEFAULT:
            return server.tolerance
        converted = any(
            stored(self.folder, DEFAULT, name).manifest.original for name in {load.workload for load in self.case.loads}
        )
        return CONVERTED if converted else AS_TRAINED

    @property
    def cores(self) -> tuple[int | None, int | None]:
        """The core of the server and the core of the load."""
        return (SERVER_CORE, LOAD_CORE) if self.case.pinned else (None, None)


@contextmanager
def stage(case: Case, servers: tuple[Server, ...]) -> Iterator[Stage]:
    """Train the models of a case and write them into a temporary folder, in all formats that its rows need."""
    kinds = {kind for kind, _, _ in case.alone} | {server.models for server in servers}
    with tempfile.TemporaryDirectory(prefix="foretell-bench-") as name:
        made = [make() for make in case.workloads]
        workloads.prepare(Path(name), made, sorted(kinds))
        yield Stage(case, Path(name), {workload.name: workload for workload in made})


def turn(server: Server, stage: Stage, seconds: float) -> Iterator[tuple[Load, Figures]]:
    """Start the server, check its answers, warm it up, let it settle, load it, check its answers again, stop it.

    Raises WrongAnswer or RuntimeError.
    """
    loads = _loads(server, stage.case)
    server = replace(server, tolerance=stage.tolerance(server))
    requests = {load: stage.request(server.protocol, load, server.workload) for load in loads}
    with running(server, stage.folder, requests[loads[0]], stage.cores[0], stage.case.settings) as process:
        if stage.case.every_row and not server.bare:
            rows = stage.single_rows(server)
            for request, answer in zip(rows, server.protocol.send(process.port, *rows), strict=True):
                request.check(answer, None, server.tolerance)
        checked = {load: _checked(server, process, request) for load, request in requests.items()}
        others = {load: _checked_other(server, process, stage, load) for load in loads if load.both}
        widest = max(loads, key=lambda load: (-load.rows, load.callers))
        with suppress(NoAnswer):  # A cold server may answer nothing in its first second.
            _call(stage, checked[widest], widest, 1)
        settle(lambda: usage(process.pid).cpu_seconds)  # Ours starts a spare worker when it is ready.
        for load in loads:
            _checked(server, process, requests[load])  # It is answered after what the last load left in the queue.
            yield load, _figures(process, stage, checked[load], others.get(load), load, seconds)
        for request in requests.values():
            _checked(server, process, request)


def _loads(server: Server, case: Case) -> tuple[Load, ...]:
    return tuple(load for load in case.loads if (load.rows == 1 or not server.bare) and (server.probed or not load.probed))


@dataclass(frozen=True, slots=True)
class _Checked:
    """A request, its port and its correct answer."""

    protocol: WireProtocol
    port: int
    request: Request
    answer: bytes
    seconds: float
    """Duration of one call."""


def _checked(server: Server, process: Running, request: Request) -> _Checked:
    start = time.perf_counter()
    (answer,) = server.protocol.send(process.port, request)
    took = time.perf_counter() - start
    request.check(answer, server.bare and server.bare(request.body), server.tolerance)
    return _Checked(server.protocol, process.port, request, answer, took)


def _checked_other(server: Server, process: Running, stage: Stage, load: Load) -> _Checked:
    """Check the request over the server's other protocol. Raises WrongAnswer."""
    if server.other is None:
        raise WrongAnswer(f"{server.name} has no other protocol")
    there = replace(server, protocol=server.other)
    return _checked(there, replace(process, port=process.port + 1), stage.request(server.other, load))


def _call(stage: Stage, checked: _Checked, load: Load, seconds: float) -> Answered:
    return call(
        checked.protocol,
        checked.port,
        checked.request,
        load.callers,
        seconds,
        checked.answer,
        core=stage.cores[1],
        each=checked.seconds,
    )


def _figures(process: Running, stage: Stage, checked: _Checked, other: _Checked | None, load: Load, seconds: float) -> Figures:
    watched: AbstractContextManager[list[float]] = probing(process.port, stage.cores[1]) if load.probed else nullcontext([])
    with watched as checks, ThreadPoolExecutor(1) as meanwhile:
        before = usage(process.pid)
        beside = meanwhile.submit(_call, stage, other, load, seconds) if other else None
        done = _call(stage, checked, load, seconds)
        there = beside.result() if beside else Answered(0, 0.0, 0.0, 0.0)
        after = usage(process.pid)
    requests = done.requests + there.requests
    return Figures(
        done.per_second,
        done.p50_ms,
        done.p99_ms,
        cpu=(after.cpu_seconds - before.cpu_seconds) / requests * 1000,
        switches=max(0, after.switches - before.switches) / requests,
        rss_mib=after.peak_rss_mib,
        start=process.started,
        sklearn=loaded(process.pid, "sklearn"),
        health_p99_ms=float(np.percentile(checks, 99)) if checks else 0.0,
        other_per_second=there.per_second,
        other_p99_ms=there.p99_ms,
    )


def alone(stage: Stage, seconds: float) -> Iterator[tuple[str, Load, Figures]]:
    """Measure the models without a server, in another process on the server's core."""
    files = []
    for kind, name, rows in stage.case.alone:
        workload = stage.served[name]
        model = (
            ("estimator", workload.estimator)
            if kind == SKLEARN
            else attrgetter("manifest.format", "artifact")(stored(stage.folder, kind, name))
        )
        files.append(stage.folder / f"{kind}-{name}-{rows}.joblib")
        joblib.dump((*model, workload.rows(rows)), files[-1])
    command = [*pinned(stage.cores[0]), sys.executable, "-m", "benchmarks.alone", str(seconds), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    for (kind, name, rows), (median, cpu) in zip(stage.case.alone, json.loads(done.stdout), strict=True):
        yield ALONE[kind], Load(name, rows, 1), Figures(1 / median, median * 1000, median * 1000, cpu * 1000)


def measure(
    cases: tuple[Case, ...], servers: Callable[[Case], tuple[Server, ...]], rounds: int, seconds: float, tell: Callable[[str], None]
) -> Measured:
    """Run all rounds of all cases. A turn that fails is recorded, and the run goes on."""
    measured = Measured()
    for case in cases:
        with _failing(measured, 0, case.name, "every server", tell), stage(case, servers(case)) as ready:
            tell(f"{case.name}: models are trained and converted")
            for kind in {server.models for server in servers(case)} & {AUTO, DEFAULT}:
                names = {load.workload for load in case.loads}
                measured.picked[case.name] = {name: stored(ready.folder, kind, name).manifest.format for name in names}
            for number in range(rounds):
                for server in servers(case):
                    with _failing(measured, number, case.name, server.name, tell):
                        turned = list(turn(server, ready, seconds))
                        measured.results += [Result(number, case.name, server.name, *pair) for pair in turned]
                        tell(f"{case.name}, round {number + 1} of {rounds}: {server.name}")
                if case.alone:
                    with _failing(measured, number, case.name, "model alone", tell):
                        measured.results += [Result(number, case.name, *row) for row in alone(ready, min(seconds, 0.5))]
    return measured


@contextmanager
def _failing(measured: Measured, number: int, case: str, server: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Record an error as a failure."""
    try:
        yield
    except (WrongAnswer, SetupError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        why = " ".join(str(error).split())
        measured.failures.append(Failure(number, case, server, why))
        tell(f"{case}, round {number + 1}: {server} failed: {why}")
