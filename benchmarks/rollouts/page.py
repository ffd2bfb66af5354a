"""Renders ROLLOUTS.md."""

from statistics import median

from benchmarks.page.machine import machine
from benchmarks.page.report import markdown
from benchmarks.rollouts.bars import bars, ratio
from benchmarks.rollouts.cases import CANDIDATES, Measured, Results
from benchmarks.rollouts.stage import GATE_SECONDS, MAX_ROW_SECONDS
from benchmarks.rollouts.traffic import GRPC_CALLERS, REST_CALLERS

METHOD = f"""\
One `foretell serve` runs the iris model of [RESULTS.md](RESULTS.md) inline, under constant load by h2load: {GRPC_CALLERS}
callers over gRPC and {REST_CALLERS} over REST, each of which sends its next request when it has its answer. Nothing is
pinned: the server, the callers, and the processes of candidates and shadows share the same cores, which are all busy. Each
case has its own server in each round, because the p99 of one idle server may be twice that of the next. Quiet windows and
windows with changes take turns; a ratio compares the p99 of both, over both protocols together, and a figure is the median
over the windows. Requests count that were under way during the changes. One failed request, or an answer of the wrong size,
fails the case for that round. tests/e2e/test_rollouts.py shows, with versions that differ, that no answer mixes two
versions.

- Versions in memory: production changes as fast as the server follows, which reads its route table ten times a second.
- New versions: each is added, tried in a candidate process, loaded, promoted, and rolled back.
- Candidates: each has one fault, and is refused at its gate; gate_seconds={GATE_SECONDS}, max_row_seconds={MAX_ROW_SECONDS}.
  The fork server has imported scikit-learn before, which takes a second or two.
- The shadow uses a core for a hundred times as long as the model for a row."""


def page(results: Results, command: str, rounds: int) -> str:
    """The whole page, in Markdown."""
    parts = ["# What rollouts cost", machine(command, f"{rounds} round{'s' * (rounds != 1)}"), "## The bars", bars(results)]
    if results.failures:
        parts += ["## What failed", "\n".join(f"- {failure}" for failure in results.failures)]
    counts = [
        f"{results.swaps:,} promotions and as many rollbacks of versions in memory",
        f"{len(results.flips):,} changes of production in all, their median after {median(results.flips or [0.0]):.2f} ms",
        f"{sum(window.requests for window in results.windows):,} requests meanwhile, none of which failed",
        f"{results.compared:,} rows that the shadow has answered",
    ]
    return (
        "\n\n".join(
            [*parts, "## How it is measured", METHOD, "## The windows", _windows(results), "\n".join(f"- {c}" for c in counts)]
        )
        + "\n"
    )


def _windows(results: Results) -> str:
    rows = []
    for case, what in dict.fromkeys((window.case, window.what) for window in results.windows):
        mine = [window for window in results.windows if (window.case, window.what) == (case, what)]
        rows.append([f"{case}: {what}" if what else case, str(len(mine)), *_cells(mine), _ended(results, case, what)])
    heads = ["", "windows", "p50 ms", "quiet", "p99 ms", "quiet", "p99 ratio", "seconds", "gate"]
    return markdown(heads, rows)


def _cells(windows: list[Measured]) -> list[str]:
    figures = ("p50_ms", "quiet_p50_ms", "p99_ms", "quiet_p99_ms")
    told = [f"{median(getattr(window, figure) for window in windows):.2f}" for figure in figures]
    return [*told, f"{ratio(windows):.2f}", f"{median(window.took for window in windows):.1f}"]


def _ended(results: Results, case: str, what: str) -> str:
    if case != CANDIDATES:
        return ""
    wanted, was = results.gates[what]
    return was if was == wanted else f"**{was or 'none'}** instead of {wanted}"
