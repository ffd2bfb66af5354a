"""What a rollout may cost, each bar as data, and its verdict from what was measured."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.bars import Limit
from benchmarks.report import VERDICTS, markdown
from benchmarks.rollouts.candidates import FAULTS
from benchmarks.rollouts.cases import CANDIDATES, FRESH, SHADOW, SWAPS, Found, Measured
from benchmarks.rollouts.stage import GATE_SECONDS
from grpc_server.workers.budget import PATIENCE

_LONGEST = PATIENCE * GATE_SECONDS + 4.0
"""Seconds: a gate may take so many times as long where the cores are busy, and before it the process has to start."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and what it must keep."""

    says: str
    limit: Limit
    measured: Callable[[Found], float | None]
    """None where it was not measured."""


def ratio(windows: Iterable[Measured]) -> float | None:
    """The median of p99 over that of the quiet window before."""
    ratios = [window.p99_ms / window.quiet_p99_ms for window in windows]
    return median(ratios) if ratios else None


def _case(case: str, what: str = "") -> Callable[[Found], float | None]:
    return lambda found: ratio(window for window in found.windows if window.case == case and what in ("", window.what))


def _other_gates(found: Found) -> float | None:
    return sum(wanted != was for wanted, was in found.gates.values()) if found.gates else None


def _slowest(found: Found) -> float | None:
    return max((window.took for window in found.windows if window.case == CANDIDATES), default=None)


def _flips(found: Found) -> float | None:
    return max(found.flips) if found.flips else None


BARS: tuple[Bar, ...] = (
    Bar("promotions and rollbacks of versions in memory: p99 against none", Limit(at_most=1.5), _case(SWAPS)),
    Bar("promotions of new versions through the gates, and rollbacks: p99 against none", Limit(at_most=1.5), _case(FRESH)),
    Bar("from the look at a record to the version that it asks for: the longest", Limit(at_most=5, unit=" ms"), _flips),
    *(
        Bar(f"a candidate at the gates, {fault.says}: p99 against none", Limit(at_most=1.2), _case(CANDIDATES, fault.says))
        for fault in FAULTS
    ),
    Bar("candidates refused at another gate than their own, or not at all", Limit(at_most=0, unit=""), _other_gates),
    Bar(
        "from the promotion of a candidate to its refusal: the longest",
        Limit(at_most=_LONGEST, unit=" s"),
        _slowest,
    ),
    Bar("a shadow that takes a hundred times as long: p99 against none", Limit(at_most=1.1), _case(SHADOW)),
)


def bars(found: Found) -> str:
    """A line for each bar: wanted, measured, met."""
    lines = []
    for bar in BARS:
        value = bar.measured(found)
        told = "" if value is None else f"{value:.4g}{bar.limit.unit}"
        lines.append([bar.says, str(bar.limit), told, VERDICTS[None if value is None else bar.limit.met(value)]])
    return markdown(["bar", "wanted", "measured", "met"], lines)
