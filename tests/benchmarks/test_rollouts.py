"""The benchmark of rollouts: a short turn against a running server, and verdicts from what was measured."""

from pathlib import Path

import pytest

from benchmarks import load
from benchmarks.rollouts.__main__ import measure
from benchmarks.rollouts.bars import BARS, bars
from benchmarks.rollouts.candidates import FAULTS
from benchmarks.rollouts.cases import CANDIDATES, CASES, FRESH, SHADOW, SWAPS, Measured, Plan, Results
from benchmarks.rollouts.page import page
from grpc_server.checks.gates import Gate

pytestmark = pytest.mark.slow


def made(case: str, p99: float, quiet: float, what: str = "", number: int = 0) -> Measured:
    return Measured(case, what, number, 1.0, p99, 1.0, quiet, 100, took=2.0)


def verdicts(results: Results) -> dict[str, tuple[str, str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in bars(results).splitlines()[2:]]
    return {says: (value, met) for says, _, value, met in rows}


def test_ratio_is_the_median_over_windows() -> None:
    results = Results([made(SWAPS, 3, 2), made(SWAPS, 9, 2), made(SWAPS, 2, 2), made(FRESH, 5, 2), made(SHADOW, 2, 2)])
    by_bar = verdicts(results)
    assert by_bar[BARS[0].title] == ("1.5x", "yes")
    assert by_bar[BARS[1].title] == ("2.5x", "**no**")
    assert by_bar[BARS[-1].title] == ("1x", "yes")


def test_each_candidate_has_its_own_verdict() -> None:
    results = Results([made(CANDIDATES, 1.0, 1.0, fault.name) for fault in FAULTS])
    results.gates = {fault.name: (fault.gate, fault.gate) for fault in FAULTS}
    assert verdicts(results)["candidates refused at another gate than their own, or not at all"] == ("0", "yes")
    results.gates["NaN"] = ("contract", "")
    results.windows.append(made(CANDIDATES, 5.0, 1.0, "NaN"))
    by_bar = verdicts(results)
    assert by_bar["candidates refused at another gate than their own, or not at all"] == ("1", "**no**")
    assert by_bar["a candidate at the gates, NaN: p99 against none"] == ("3x", "**no**")
    assert by_bar["a candidate at the gates, hang: p99 against none"] == ("1x", "yes")
    assert "**none** instead of contract" in page(results, "make bench-rollouts", 1)


def test_unmeasured_bar_has_no_verdict() -> None:
    assert {met for _, met in verdicts(Results()).values()} == {"not measured"}


def test_every_fault_has_gate_and_bar() -> None:
    assert {fault.gate for fault in FAULTS} <= set(Gate)
    assert sum("a candidate at the gates" in bar.title for bar in BARS) == len(FAULTS)


@pytest.mark.long
@pytest.mark.skipif(not load.available(), reason=load.MISSING)
def test_short_turn_fills_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = measure(Plan(rounds=1, seconds=2, swaps=2, fresh=1, faults=1), SWAPS)
    assert results.failures == []
    assert results.swaps == 2
    assert [window.case for window in results.windows] == [SWAPS]
    assert min(results.flips) > 0
    assert len(results.flips) >= 5  # Two promotions, two rollbacks, and the first turn that brings the version into memory.
    assert "2 promotions and as many rollbacks of versions in memory" in page(results, "make bench-rollouts", 1)
    assert set(CASES) == {SWAPS, FRESH, CANDIDATES, SHADOW}
    assert "swaps, round 1: p99" in capsys.readouterr().out
