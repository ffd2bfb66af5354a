"""The bars of the rollout benchmark as data, and their results."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks.bars import Limit
from benchmarks.page.report import VERDICTS, markdown
from benchmarks.rollouts.candidates import FAULTS, HANG
from benchmarks.rollouts.cases import CANDIDATES, FRESH, SHADOW, SWAPS, Measured, Results
from benchmarks.rollouts.stage import GATE_SECONDS


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and its limit."""

    title: str
    limit: Limit
    measured: Callable[[Results], float | None]
    """None if it was not measured."""


def ratio(windows: Iterable[Measured]) -> float | None:
    """The median over the windows of p99 divided by the p99 of the quiet window before."""
    ratios = [window.p99_ms / window.quiet_p99_ms for window in windows]
    return median(ratios) if ratios else None


def _case(case: str, what: str = "") -> Callable[[Results], float | None]:
    return lambda results: ratio(window for window in results.windows if window.case == case and what in ("", window.what))


def _other_gates(results: Results) -> float | None:
    return sum(wanted != was for wanted, was in results.gates.values()) if results.gates else None


def _longest(results: Results, *, hangs: bool) -> float | None:
    """Seconds of the longest promotion of a version that was not in memory."""
    windows = (window for window in results.windows if window.case in (FRESH, CANDIDATES) and (window.what == HANG) == hangs)
    return max((window.took for window in windows), default=None)


def _flips(results: Results) -> float | None:
    return max(results.flips) if results.flips else None


BARS: tuple[Bar, ...] = (
    Bar("promotions and rollbacks of versions in memory: p99 against none", Limit(at_most=1.5), _case(SWAPS)),
    Bar("promotions of new versions through the gates, and rollbacks: p99 against none", Limit(at_most=2.2), _case(FRESH)),
    Bar("from reading a route table to the routing that it names: the longest", Limit(at_most=5, unit=" ms"), _flips),
    *(
        Bar(f"a candidate at the gates, {fault.name}: p99 against none", Limit(at_most=2.2), _case(CANDIDATES, fault.name))
        for fault in FAULTS
    ),
    Bar("candidates refused at another gate than their own, or not at all", Limit(at_most=0, unit=""), _other_gates),
    Bar(
        "from the promotion of a version to its refusal or its first answer: the longest, without the one that hangs",
        Limit(at_most=2, unit=" s"),
        partial(_longest, hangs=False),
    ),
    Bar(
        f"from the promotion of a version that hangs to its refusal, with gate_seconds={GATE_SECONDS}: the longest",
        Limit(at_most=GATE_SECONDS + 2, unit=" s"),
        partial(_longest, hangs=True),
    ),
    Bar("a shadow that takes a hundred times as long: p99 against none", Limit(at_most=1.1), _case(SHADOW)),
)


def bars(results: Results) -> str:
    """A table with a row for each bar: wanted, measured, met."""
    lines = []
    for bar in BARS:
        value = bar.measured(results)
        shown = "" if value is None else f"{value:.4g}{bar.limit.unit}"
        lines.append([bar.title, str(bar.limit), shown, VERDICTS[None if value is None else bar.limit.met(value)]])
    return markdown(["bar", "wanted", "measured", "met"], lines)
