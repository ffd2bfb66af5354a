"""ROLLOUTS.md: what rollouts cost the callers of production."""

from statistics import median

from benchmarks.machine import machine
from benchmarks.report import markdown
from benchmarks.rollouts.bars import bars, ratio
from benchmarks.rollouts.cases import CANDIDATES, Found, Measured
from benchmarks.rollouts.stage import GATE_SECONDS, MAX_ROW_SECONDS
from benchmarks.rollouts.traffic import GRPC_CALLERS, REST_CALLERS

METHOD = f"""\
One `foretell serve` with the iris model of [RESULTS.md](RESULTS.md) in line, and callers that never stop: {GRPC_CALLERS} over
gRPC and {REST_CALLERS} over REST, each with its next request as soon as it has its answer, by h2load. Nothing is pinned: server,
callers, and the processes in which versions are tried or run as a shadow compete for the same cores, all busy. Each case has a
server of its own in each round, because the p99 of one that is left alone may be twice that of the next. Windows take turns, a
quiet one and one in which something happens; a ratio is that of both p99s, of both doors together, and a figure the median over
windows. Only requests count that were under way while it happened. A single request that fails, or is answered with other than the
right number of bytes, ends the case for that round. That no answer is mixed, tests/e2e/test_rollouts.py shows, with versions that
differ.

- Versions in memory: production changes as fast as the server is seen to follow, which looks at its records ten times a second.
- New versions: each is added, tried in a process of its own, loaded, promoted, and rolled back.
- Candidates: each is wrong in one way, and is refused at its gate; gate_seconds={GATE_SECONDS}, max_row_seconds={MAX_ROW_SECONDS}.
  The fork server has imported scikit-learn before, which takes a second or two.
- The shadow burns a core for a hundred times what the model takes for a row."""


def page(found: Found, command: str, rounds: int) -> str:
    """The whole page, in Markdown."""
    parts = ["# What rollouts cost", machine(command, f"{rounds} round{'s' * (rounds != 1)}"), "## The bars", bars(found)]
    if found.failures:
        parts += ["## What failed", "\n".join(f"- {failure}" for failure in found.failures)]
    counts = [
        f"{found.swaps:,} promotions and as many rollbacks of versions in memory",
        f"{len(found.flips):,} changes of production in all, their median after {median(found.flips or [0.0]):.2f} ms",
        f"{sum(window.requests for window in found.windows):,} requests meanwhile, none of which failed",
        f"{found.compared:,} rows that the shadow was asked",
    ]
    return (
        "\n\n".join(
            [*parts, "## How it is measured", METHOD, "## The windows", _windows(found), "\n".join(f"- {c}" for c in counts)]
        )
        + "\n"
    )


def _windows(found: Found) -> str:
    rows = []
    for case, what in dict.fromkeys((window.case, window.what) for window in found.windows):
        mine = [window for window in found.windows if (window.case, window.what) == (case, what)]
        rows.append([f"{case}: {what}" if what else case, str(len(mine)), *_cells(mine), _ended(found, case, what)])
    heads = ["", "windows", "p50 ms", "quiet", "p99 ms", "quiet", "p99 ratio", "seconds", "gate"]
    return markdown(heads, rows)


def _cells(windows: list[Measured]) -> list[str]:
    figures = ("p50_ms", "quiet_p50_ms", "p99_ms", "quiet_p99_ms")
    told = [f"{median(getattr(window, figure) for window in windows):.2f}" for figure in figures]
    return [*told, f"{ratio(windows):.2f}", f"{median(window.took for window in windows):.1f}"]


def _ended(found: Found, case: str, what: str) -> str:
    if case != CANDIDATES:
        return ""
    wanted, was = found.gates[what]
    return was if was == wanted else f"**{was or 'none'}** instead of {wanted}"
