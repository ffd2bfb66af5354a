"""The report: medians over rounds, each with its ratio to the post's app in the same round."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from math import log
from pathlib import Path
from statistics import median

from benchmarks.load import Load
from benchmarks.rounds import ALONE, CASES, Result
from benchmarks.servers import CORES, POST, SERVERS

LIBRARIES = ("grpcio", "protobuf", "protovalidate", "fastapi", "uvicorn", "uvloop", "pydantic", "scikit-learn", "numpy")
COLUMNS = {
    "req/s": ("per_second", "{:,.0f}"),
    "p50 ms": ("p50_ms", "{:.2f}"),
    "p99 ms": ("p99_ms", "{:.2f}"),
    "CPU s / 1,000": ("cpu", "{:.3f}"),
    "switches": ("switches", "{:.1f}"),
    "RSS MiB": ("rss_mib", "{:.0f}"),
    "start s": ("start", "{:.1f}"),
}
METHOD = """\
Each cell is the median over the rounds and, in brackets, the median of its ratios to the post's app in the same round. Trust the
ratios: the machine is shared, and the same code may run twice as fast a minute later.

- The server runs on one core and the load on another, where there are two. Rounds are interleaved: A B C A B C.
- Each turn starts a server, compares its answers with scikit-learn's to nine decimals, warms it up for a second, loads it, compares
  again, and stops it. Every single answer is counted and must have the right size: one failed request fails the whole run.
- The load is closed: each caller sends its next request when it has its answer. Over HTTP/1.1 each caller has a connection; over
  gRPC 16 callers share 4 and 64 share 8.
- CPU and context switches are those of the server's whole process tree. RSS is the sum of its processes' peaks up to that load.
- The model is the same object on both sides, and values are from 0 to 1, which both sides check."""


def report(results: list[Result], command: str, plot: str | None) -> str:
    """The whole page, in Markdown."""
    parts = ["# How fast it is", _machine(results, command), METHOD, "## The rows", _servers(results)]
    for case in CASES:
        found = [result for result in results if result.case == case.name]
        if not found:
            continue
        parts.append(f"## {case.name}: {case.says}")
        if case.name.startswith("growth"):
            parts.append(growth(found))
            continue
        for load in dict.fromkeys(result.load for result in found if result.server != ALONE):
            parts += [f"### {_count(load.rows, 'row')} a request, {_count(load.callers, 'caller')}", _table(found, load)]
        parts += ["### The model alone", _alone(found)]
    if plot:
        parts.append(f"![Growth]({plot})")
    return "\n\n".join(parts) + "\n"


def medians(results: Iterable[Result], server: str, load: Load, figure: str) -> tuple[float, float | None]:
    """A figure of a server under a load: its median over rounds, and that of its ratios to the post's app."""
    own, base = (
        {r.round: getattr(r.figures, figure) for r in results if (r.server, r.load) == (name, load)} for name in (server, POST)
    )
    ratios = [value / base[number] for number, value in own.items() if base.get(number)]
    return median(own.values()), median(ratios) if ratios else None


def sizes(results: list[Result]) -> list[tuple[Load, int]]:
    """The loads of a growth case with what grows, rows or columns."""
    loads = dict.fromkeys(result.load for result in results)
    return [(load, int(load.workload.removeprefix("linear")) if "linear" in load.workload else load.rows) for load in loads]


def growth(results: list[Result]) -> str:
    """A growth case: latency and CPU of each server by what grows."""
    names = list(dict.fromkeys(result.server for result in results))
    grown = sizes(results)
    rows = []
    for load, size in grown:
        cells = [
            f"{medians(results, n, load, 'p50_ms')[0]:.2f} / {_cell(*medians(results, n, load, 'cpu'), '{:.2f}')}" for n in names
        ]
        rows.append([f"{size:,}", *cells])
    last, large = grown[-1]
    first, small = next(pair for pair in reversed(grown) if pair[1] * 100 <= large)
    slopes = [log(medians(results, n, last, "cpu")[0] / medians(results, n, first, "cpu")[0]) / log(large / small) for n in names]
    rows.append([f"power with which CPU grows from {small:,} to {large:,}", *(f"{slope:.2f}" for slope in slopes)])
    return "p50 in ms / CPU in ms a request, and its ratio to the post's app:\n\n" + _markdown(["", *names], rows)


def _table(results: list[Result], load: Load) -> str:
    rows = []
    for server in dict.fromkeys(result.server for result in results if result.load == load and result.server != ALONE):
        cells = [_cell(*medians(results, server, load, figure), form) for figure, form in COLUMNS.values()]
        rows.append([server, *cells])
    return _markdown(["", *COLUMNS], rows)


def _cell(value: float, ratio: float | None, form: str) -> str:
    return form.format(value) if ratio is None else f"{form.format(value)} ({ratio:.2f})"


def _alone(results: list[Result]) -> str:
    """What the model takes, and what the servers' CPU is in multiples of it."""
    bare = {server.name for server in SERVERS if server.bare}
    servers = [name for name in dict.fromkeys(result.server for result in results) if name not in {ALONE, *bare}]
    rows = []
    for load in dict.fromkeys(result.load for result in results if result.server == ALONE):
        cells = []
        for server in servers:
            own, model = (
                {r.round: r.figures.cpu for r in results if (r.server, r.load) == (name, load)} for name in (server, ALONE)
            )
            cells.append(f"{median(own[number] / model[number] for number in own):.2f}" if own else "")
        rows.append([f"{load.rows:,}", f"{medians(results, ALONE, load, 'p50_ms')[0] * 1000:,.0f}", *cells])
    heads = [f"{server}, CPU in models" for server in servers]
    return _markdown(["rows", "microseconds a call", *heads], rows)


def _servers(results: list[Result]) -> str:
    seen = {result.server for result in results}
    rows = [[server.name, server.says] for server in SERVERS if server.name in seen]
    return _markdown(["row", "what it is"], [*rows, [ALONE, "`predict_proba` in a process of its own on the server's core"]])


def _machine(results: list[Result], command: str) -> str:
    rounds = len({result.round for result in results})
    lines = [
        ("Command", f"`{command}`, {_count(rounds, 'round')}"),
        ("Date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("Machine", f"{_cpu()}, {_count(len(CORES), 'core')}; Linux {platform.release().partition('-')[0]}"),
        ("Load average", f"{os.getloadavg()[1]:.1f} at the end; other work ran beside it if this is above {min(2, len(CORES))}"),
        ("Versions", ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)])),
    ]
    return "\n".join(f"- {name}: {text}" for name, text in lines)


def _cpu() -> str:
    names = [
        line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
