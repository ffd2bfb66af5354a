"""Writes RESULTS.md: the bars, then medians over rounds with their ratios to the base of the case."""

from collections.abc import Iterable
from itertools import pairwise
from statistics import median

from benchmarks.bars import BARS, Bar
from benchmarks.cases import CASES, Case, Load
from benchmarks.page import growth
from benchmarks.page.machine import machine
from benchmarks.rounds import ALONE, Failure, Measured, Result
from benchmarks.servers import SERVERS, Server

COLUMNS = {
    "req/s": ("per_second", "{:,.0f}"),
    "p50 ms": ("p50_ms", "{:.2f}"),
    "p99 ms": ("p99_ms", "{:.2f}"),
    "CPU s / 1,000": ("cpu", "{:.3f}"),
    "switches": ("switches", "{:.1f}"),
    "RSS MiB": ("rss_mib", "{:.0f}"),
    "start s": ("start", "{:.1f}"),
}
PROBED = {"health p99 ms": ("health_p99_ms", "{:.1f}")}
BOTH = {"gRPC req/s": ("other_per_second", "{:,.0f}"), "gRPC p99 ms": ("other_p99_ms", "{:.2f}")}
METHOD = """\
Each cell is the median over the rounds and, in brackets, the median of its ratios to the first row in the same round. Trust the
ratios: the machine may be shared, and the same code may run twice as fast a minute later.

- The **drafted** cases are what people get: a model is trained as the post trains (`model.fit(X, y)`, `joblib.dump`), and served by
  `foretell init MODEL --data CSV --target y` and `foretell serve`, with no other flag or setting. The post's app serves the same
  model and gives the same answer, label and probabilities, by `predict` and `predict_proba`. It checks types, Foretell also bounds.
- The case **`make serve`** is what that command serves, beside the post's app with the post's model.
- In both, the answers to all rows of the training data are compared with the estimator's own before the load.
- The **hand-made** cases are on contracts written for the benchmark, whose answers are probabilities alone.
- The server, with all its processes, runs on one core and the load on another, where there are two; only in the case `two cores`
  is nothing pinned. Rounds are interleaved: A B C A B C.
- Each turn starts a server, compares its answers with the estimator's (within 1e-12; within 1e-6 where the model was converted),
  warms it up for a second, waits until it is idle, loads it, compares again, and stops it. Every single answer is counted and must
  have the right size. A turn in which one request fails gives no figures, and is listed.
- The load is h2load for REST and gRPC. It is closed: each caller sends its next request when it has its answer. Over HTTP/1.1 each
  caller has a connection; over gRPC 16 callers share 4 and 64 share 8. p50 and p99 are of all its requests. One caller with
  requests above 20 ms sends a number of them, at least three, so that none is half done when the time is up. In the case `mixed`
  REST and gRPC are loaded at the same time, and CPU and switches are per request of either.
- CPU and context switches are those of the server's whole process tree, and RSS is the sum of its processes' peaks up to that load.
  The start ends with the first right answer.
- The model is the same object on both sides, but in `make serve`. In hand-made cases values are from 0 to 1, which both sides
  check, and settings are the default ones, but for the limits that 100,000 rows in one request need."""
VERDICTS = {True: "yes", False: "**no**", None: "not measured"}


def report(measured: Measured, command: str, plot: str | None) -> str:
    """The page in Markdown."""
    rounds = len({result.round for result in measured.results})
    parts = ["# How fast it is", machine(command, f"{rounds} round{'s' * (rounds != 1)}"), "## The bars", bars(BARS, measured)]
    parts += [failures(measured.failures)] if measured.failures else []
    parts += ["## How it is measured", METHOD, "## The rows", rows_of(SERVERS, measured.results)]
    parts += unable(SERVERS)
    for case in CASES:
        parts += case_of(case, measured)
    if plot:
        parts.append(f"![Growth]({plot})")
    return "\n\n".join(parts) + "\n"


def bars(wanted: Iterable[Bar], measured: Measured) -> str:
    """A table of the bars: wanted, measured, met."""
    failed = {(failure.case, failure.server) for failure in measured.failures}
    lines = []
    for bar in wanted:
        value = None if bar.places & failed else bar.measured(measured.results)
        shown = "" if value is None else f"{value:.4g}{bar.limit.unit}"
        lines.append([bar.says, str(bar.limit), shown, VERDICTS[None if value is None else bar.limit.met(value)]])
    head = "Medians over the rounds of ratios within one round. A bar whose servers are not all there, or failed, is not measured."
    return f"{head}\n\n{markdown(['bar', 'wanted', 'measured', 'met'], lines)}"


def failures(failed: Iterable[Failure]) -> str:
    """A list of the failed turns."""
    lines = [f"- {failure.case}, round {failure.round + 1}, {failure.server}: {failure.why[:300]}" for failure in failed]
    return "## What failed\n\nThese turns gave no figures; the tables show these rows from their other rounds.\n\n" + "\n".join(
        lines
    )


def rows_of(servers: Iterable[Server], results: list[Result]) -> str:
    """A table of the rows and their descriptions."""
    seen = dict.fromkeys(result.server for result in results)
    rows = [[server.name, server.says] for server in servers if server.name in seen]
    alone = [[name, "the model in a process of its own on the server's core"] for name in seen if name in ALONE.values()]
    return markdown(["row", "what it is"], rows + alone)


def unable(servers: Iterable[Server]) -> list[str]:
    """A sentence for each server that cannot run here."""
    return [f"{server.name} was not run: {server.missing}." for server in servers if server.missing]


def case_of(case: Case, measured: Measured) -> list[str]:
    """The section of a case; empty if nothing was measured."""
    found = [result for result in measured.results if result.case == case.name]
    if not found:
        return []
    parts = [f"## {case.name}: {case.says}"]
    picked = [f"{name} is served as {kind}." for name, kind in measured.picked.get(case.name, {}).items()]
    parts += [" ".join(picked)] if picked else []
    served = [result for result in found if result.server not in ALONE.values()]
    if "growth" in case.name:
        return [*parts, growing(found, case.base)]
    for load in dict.fromkeys(result.load for result in served):
        parts += [f"### {says(load)}", table([result for result in served if result.load == load], load, case.base)]
    alone = [result for result in found if result.server in ALONE.values()]
    return [*parts, "### The model alone", _alone(alone, served)] if alone else parts


def says(load: Load) -> str:
    """A load in words."""
    return f"{_count(load.rows, 'row')} a request, {_count(load.callers, 'caller')}" + (
        ", health checked meanwhile" if load.probed else ", and as many over gRPC" if load.both else ""
    )


def table(results: list[Result], load: Load, base: str) -> str:
    """A table of the servers under one load."""
    columns = COLUMNS | (PROBED if load.probed else {}) | (BOTH if load.both else {})
    rows = []
    for server in dict.fromkeys(result.server for result in results):
        cells = [_cell(*medians(results, server, load, figure, base), form) for figure, form in columns.values()]
        rows.append([server, *cells])
    return markdown(["", *columns], rows)


def medians(results: Iterable[Result], server: str, load: Load, figure: str, base: str) -> tuple[float, float | None]:
    """Median of a figure over the rounds, and median of its ratios to the base in the same round."""
    own, other = _by_round(results, server, load, figure), _by_round(results, base, load, figure)
    ratios = [value / other[number] for number, value in own.items() if other.get(number)]
    return median(own.values()), median(ratios) if ratios else None


def growing(results: list[Result], base: str) -> str:
    """Tables of a growth case: latency and CPU by size, and the cost of each further row or column."""
    names = list(dict.fromkeys(result.server for result in results))
    grown = growth.sizes(results)
    costs = {name: _costs(results, name, grown) for name in names}
    cells = [[f"{size:,}", *(_grown(results, name, load, base) for name in names)] for load, size in grown.items()]
    span = growth.last_decades(grown.values())
    powers = [f"{growth.power(costs[name]):.2f}" if len(costs[name]) > 1 else "" for name in names]
    cells.append([f"exponent with which CPU grows from {span[0]:,} to {span[-1]:,}", *powers])
    further = [
        [f"{low:,} to {high:,}", *(_further(costs[name], low, high) for name in names)] for low, high in pairwise(grown.values())
    ]
    return (
        f"p50 in ms / CPU in ms a request, and its ratio to the first:\n\n{markdown(['', *names], cells)}\n\n"
        f"CPU in microseconds of each further one; equal in all lines if cost grows in proportion, whatever the fixed cost of "
        f"a request:\n\n{markdown(['', *names], further)}"
    )


def _costs(results: list[Result], server: str, grown: dict[Load, int]) -> dict[int, float]:
    """Median CPU of a request in milliseconds by size."""
    found = {size: _by_round(results, server, load, "cpu") for load, size in grown.items()}
    return {size: median(by_round.values()) for size, by_round in found.items() if by_round}


def _grown(results: list[Result], server: str, load: Load, base: str) -> str:
    if not _by_round(results, server, load, "cpu"):
        return ""
    return (
        f"{medians(results, server, load, 'p50_ms', base)[0]:.2f} / {_cell(*medians(results, server, load, 'cpu', base), '{:.2f}')}"
    )


def _further(costs: dict[int, float], low: int, high: int) -> str:
    if not {low, high} <= costs.keys():
        return ""
    return f"{1000 * (costs[high] - costs[low]) / (high - low):.3g}"


def _alone(alone: list[Result], served: list[Result]) -> str:
    """Duration of the models alone, and CPU of a lone caller's request in multiples of it."""
    loads = dict.fromkeys(result.load for result in alone)
    heads = ["microseconds a call", *(_count(load.rows, "row") for load in loads)]
    rows = [
        [name, *(f"{1000 * median(_by_round(alone, name, load, 'p50_ms').values()):,.0f}" for load in loads)]
        for name in dict.fromkeys(result.server for result in alone)
    ]
    for server in SERVERS:
        kind = ALONE.get(server.models)
        cells = [_in_models(alone, served, server.name, kind, load) for load in loads if kind]
        if not server.bare and any(cells):
            rows.append([f"{server.name}, CPU in models", *cells])
    return markdown(heads, rows)


def _in_models(alone: list[Result], served: list[Result], server: str, kind: str | None, load: Load) -> str:
    own = _by_round(served, server, load, "cpu")
    model = _by_round(alone, kind or "", load, "cpu")
    ratios = [own[number] / model[number] for number in own if number in model]
    return f"{median(ratios):.2f}" if ratios else ""


def _by_round(results: Iterable[Result], server: str, load: Load, figure: str) -> dict[int, float]:
    return {r.round: getattr(r.figures, figure) for r in results if (r.server, r.load) == (server, load)}


def _cell(value: float, ratio: float | None, form: str) -> str:
    return form.format(value) if ratio is None else f"{form.format(value)} ({ratio:.2f})"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
