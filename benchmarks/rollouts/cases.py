"""The cases: rollouts under load, in windows that take turns with quiet windows."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from benchmarks.alone import measure, prediction
from benchmarks.rollouts.candidates import FAULTS, HundredTimesSlower
from benchmarks.rollouts.stage import Outcome, Stage
from benchmarks.rollouts.traffic import Sample, joined, window

SWAPS, FRESH, CANDIDATES, SHADOW = "swaps", "fresh versions", "candidates", "shadow"

_LEAD = 0.5
"""Seconds of a window before the first change."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One window, and the quiet one before it."""

    case: str
    what: str
    """The variant of the case, such as the name of a fault; empty if there is one only."""
    round: int
    p50_ms: float
    p99_ms: float
    quiet_p50_ms: float
    quiet_p99_ms: float
    requests: int
    took: float = 0.0
    """Seconds of the longest change, from the new route table until the server follows it or refuses."""


@dataclass(slots=True)
class Results:
    """All measurements of a run."""

    windows: list[Measured] = field(default_factory=list)
    swaps: int = 0
    """Promotions, each followed by a rollback."""
    flips: list[float] = field(default_factory=list)
    """Milliseconds of each change of production in the server."""
    gates: dict[str, tuple[str, str]] = field(default_factory=dict)
    """For each fault the gate that must refuse it, and the gate that did."""
    compared: int = 0
    """Rows that the shadow answered."""
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run."""

    rounds: int
    seconds: int
    """Of each window."""
    swaps: int
    """Promotions of versions in memory, each followed by a rollback."""
    fresh: int
    """Promotions of new versions in a round."""
    faults: int
    """Faults that are tried, from the first of FAULTS."""


def swap(stage: Stage, plan: Plan, results: Results, number: int) -> Iterator[Measured]:
    """Promotes a version in memory and rolls back, until this round has its share of all promotions."""
    version = stage.add(stage.workload.estimator)
    stage.promote(version)
    stage.rollback()
    enough = plan.swaps * (number + 1) // plan.rounds

    def act(end: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while time.time() < end and results.swaps < enough:
            outcomes += [stage.promote(version), stage.rollback()]
            results.swaps += 1
        return outcomes

    while results.swaps < enough:
        yield _beside(stage, plan, SWAPS, "", number, act)


def fresh(stage: Stage, plan: Plan, _results: Results, number: int) -> Iterator[Measured]:
    """Promotes new versions, which pass all gates, and rolls back."""
    _start_fork_server(stage)
    versions = [stage.add(stage.workload.estimator) for _ in range(plan.fresh)]

    def act(_end: float) -> list[Outcome]:
        return [outcome for version in versions for outcome in (stage.promote(version), stage.rollback())]

    yield _beside(stage, plan, FRESH, "", number, act)


def candidates(stage: Stage, plan: Plan, results: Results, number: int) -> Iterator[Measured]:
    """Promotes faulty versions, which must be refused, each at its gate."""
    _start_fork_server(stage)
    for fault in FAULTS[: plan.faults]:
        version = stage.add(fault.make(stage.workload.estimator))

        def act(_end: float, version: str = version) -> list[Outcome]:
            return [stage.promote(version)]

        measured, (outcome,) = _window(stage, plan, CANDIDATES, fault.name, number, act)
        stage.rollback()
        before = results.gates.get(fault.name, ("", fault.gate))
        results.gates[fault.name] = (fault.gate, outcome.gate if before[1] == fault.gate else before[1])
        yield measured


def shadow(stage: Stage, plan: Plan, results: Results, number: int) -> Iterator[Measured]:
    """Runs a shadow that takes a hundred times as long as production."""
    seconds, _ = measure(prediction("estimator", stage.workload.estimator, stage.workload.rows(1)), 0.2)
    version = stage.add(HundredTimesSlower(stage.workload.estimator, seconds))
    quiet = window(stage.streams, plan.seconds)
    if stage.shadow(version).gate:
        raise RuntimeError("the shadow was refused")
    yield _measured(SHADOW, "", number, window(stage.streams, plan.seconds), quiet)
    results.compared += stage.compared()[0]


CASES: dict[str, Callable[[Stage, Plan, Results, int], Iterator[Measured]]] = {
    SWAPS: swap,
    FRESH: fresh,
    CANDIDATES: candidates,
    SHADOW: shadow,
}


def _start_fork_server(stage: Stage) -> None:
    """Have it import scikit-learn before the windows, as it does once for all candidates of a server."""
    stage.promote(stage.add(stage.workload.estimator))
    stage.rollback()


def _beside(stage: Stage, plan: Plan, case: str, what: str, number: int, act: Callable[[float], list[Outcome]]) -> Measured:
    return _window(stage, plan, case, what, number, act)[0]


def _window(
    stage: Stage, plan: Plan, case: str, what: str, number: int, act: Callable[[float], list[Outcome]]
) -> tuple[Measured, list[Outcome]]:
    """A quiet window, and one with changes; requests count that were under way between the first change and the end of the last."""
    quiet = window(stage.streams, plan.seconds)

    def acting() -> list[Outcome]:
        time.sleep(_LEAD)
        return act(time.time() + plan.seconds - 2 * _LEAD)

    with ThreadPoolExecutor(1) as pool:
        acted = pool.submit(acting)
        samples = [window(stage.streams, plan.seconds)]
        while not acted.done():
            samples.append(window(stage.streams, plan.seconds))
        outcomes = acted.result()
    sample = joined(samples)
    meanwhile = sample.during(outcomes[0].start, outcomes[-1].end)
    longest = max(outcome.end - outcome.start for outcome in outcomes)
    return _measured(case, what, number, meanwhile, quiet, longest), outcomes


def _measured(case: str, what: str, number: int, sample: Sample, quiet: Sample, took: float = 0.0) -> Measured:
    (p50, p99), (quiet_p50, quiet_p99) = (np.percentile(each.latencies, [50, 99]).tolist() for each in (sample, quiet))
    return Measured(case, what, number, p50, p99, quiet_p50, quiet_p99, len(sample.latencies), took)
