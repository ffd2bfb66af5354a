"""Rounds: every server takes its turn in each, so that what the machine does meanwhile hits all of them alike."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import joblib

from benchmarks import workloads
from benchmarks.load import Load, call
from benchmarks.servers import POST, Server, pinned, running
from benchmarks.tree import usage
from benchmarks.workloads import ROOT, Workload

ALONE = "model alone"


@dataclass(frozen=True, slots=True)
class Case:
    """A comparison: what is served, and how it is loaded."""

    name: str
    says: str
    workloads: tuple[Callable[[], Workload], ...]
    loads: tuple[Load, ...]
    alone: tuple[tuple[str, int], ...]
    """Workloads and rows for which the model is called in process as well."""
    with_bare: bool = False


_WIDTHS = (4, 20, 100, 500)
_COUNTS = (10, 100, 1000, 10_000)

CASES = (
    Case(
        "iris",
        "the post's `SVC(probability=True)` on four columns",
        (workloads.iris,),
        tuple(Load("iris", *load) for load in ((1, 1), (1, 16), (1, 64), (1000, 1), (1000, 4))),
        tuple(("iris", rows) for rows in (1, 8, 64, 1000)),
        with_bare=True,
    ),
    Case(
        "forest",
        "100 trees on 30 columns (breast cancer)",
        (workloads.forest,),
        tuple(Load("cancer", 1, callers) for callers in (1, 16)),
        tuple(("cancer", rows) for rows in (1, 8, 64, 1000)),
    ),
    Case(
        "growth-rows",
        "iris, more and more rows in one request, one caller",
        (workloads.iris,),
        tuple(Load("iris", rows, 1) for rows in _COUNTS),
        tuple(("iris", rows) for rows in _COUNTS),
    ),
    Case(
        "growth-columns",
        "a logistic regression on more and more columns, 100 rows in one request, one caller",
        tuple(partial(workloads.linear, width) for width in _WIDTHS),
        tuple(Load(f"linear{width}", 100, 1) for width in _WIDTHS),
        tuple((f"linear{width}", 100) for width in _WIDTHS),
    ),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one server did under one load."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu: float
    """Seconds for 1,000 requests, of the whole process tree."""
    switches: float = 0.0
    """Context switches a request."""
    rss_mib: float = 0.0
    """Peak of the process tree so far."""
    start: float = 0.0
    """Seconds from start to first answer."""


@dataclass(frozen=True, slots=True)
class Result:
    """One cell of the report, in one round."""

    round: int
    case: str
    server: str
    load: Load
    figures: Figures


@dataclass(frozen=True, slots=True)
class Stage:
    """What the servers of a case find on disk, and the models in it."""

    folder: Path
    served: dict[str, Workload]


@contextmanager
def stage(case: Case) -> Iterator[Stage]:
    """Train the models of a case and write them into a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="foretell-bench-") as name:
        made = [make() for make in case.workloads]
        workloads.prepare(Path(name), made)
        yield Stage(Path(name), {workload.name: workload for workload in made})


def turn(server: Server, stage: Stage, loads: tuple[Load, ...], seconds: int) -> Iterator[tuple[Load, Figures]]:
    """Start the server, check its answers, warm it up, load it, check its answers again, stop it. Raises WrongAnswer."""
    loads = tuple(load for load in loads if load.rows == 1 or not server.bare)
    requests = {load: server.door.request(stage.folder, stage.served[load.workload], load.rows) for load in loads}
    bare = {load: server.bare and server.bare(request.body) for load, request in requests.items()}
    with running(server, stage.folder, requests[loads[0]]) as process:
        answers = {}
        for load, request in requests.items():
            answers[load] = server.door.ask(process.port, request)
            request.check(answers[load], bare[load])
        widest = max(loads, key=lambda load: (-load.rows, load.callers))
        call(server.door, process.port, requests[widest], widest.callers, 1, answers[widest])
        for load, request in requests.items():
            before = usage(process.pid)
            done = call(server.door, process.port, request, load.callers, seconds, answers[load])
            after = usage(process.pid)
            yield (
                load,
                Figures(
                    done.per_second,
                    done.p50_ms,
                    done.p99_ms,
                    (after.cpu_seconds - before.cpu_seconds) / done.requests * 1000,
                    (after.switches - before.switches) / done.requests,
                    after.peak_rss_mib,
                    process.started,
                ),
            )
        for load, request in requests.items():
            request.check(server.door.ask(process.port, request), bare[load])


def alone(stage: Stage, asked: tuple[tuple[str, int], ...], seconds: float) -> Iterator[tuple[Load, Figures]]:
    """The models in a process of their own on the server's core, without a server."""
    files = []
    for name, rows in asked:
        files.append(stage.folder / f"{name}-{rows}.joblib")
        joblib.dump((stage.served[name].estimator, stage.served[name].rows(rows)), files[-1])
    command = [*pinned(0), sys.executable, "-m", "benchmarks.alone", str(seconds), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120 + 10 * seconds, check=True)
    for (name, rows), (median, cpu) in zip(asked, json.loads(done.stdout), strict=True):
        yield Load(name, rows, 1), Figures(1 / median, median * 1000, median * 1000, cpu * 1000)


def measure(
    cases: tuple[Case, ...], servers: tuple[Server, ...], rounds: int, seconds: int, tell: Callable[[str], None]
) -> Iterator[Result]:
    """All rounds of all cases. Raises WrongAnswer as soon as a server is wrong."""
    for case in cases:
        with stage(case) as ready:
            for number in range(rounds):
                for server in servers:
                    if server.bare and not case.with_bare:
                        continue
                    for load, figures in turn(server, ready, case.loads, seconds):
                        yield Result(number, case.name, server.name, load, figures)
                    tell(f"{case.name}, round {number + 1} of {rounds}: {server.name}")
                for load, figures in alone(ready, case.alone, min(seconds, 0.5)):
                    yield Result(number, case.name, ALONE, load, figures)


def chosen(servers: tuple[Server, ...], only: str) -> tuple[Server, ...]:
    """The servers whose names hold `only`, and the post's app, to which all others are compared."""
    return tuple(server for server in servers if only.lower() in server.name.lower() or server.name == POST)
