"""Verdicts of the bars on made-up results: ratios within a round, medians over rounds, growth with size."""

from dataclasses import replace

import pytest

from benchmarks.bars import BARS, Cell, Growth, Limit, Ratio
from benchmarks.cases import CASES, Load, chosen
from benchmarks.page.growth import last_decades, power, sizes
from benchmarks.page.plot import PANELS
from benchmarks.page.report import bars, growing, unable
from benchmarks.rounds import ALONE, Failure, Figures, Measured, Result
from benchmarks.servers import IRIS, POST, ROWS, SERVERS

OURS, ECHO = "foretell gRPC", "bare grpcio sync"
LOAD = Load("iris", 1, 64)
TWICE = Ratio("twice", Limit(at_least=2), Cell(IRIS, OURS, LOAD, "per_second"), (Cell(IRIS, ECHO, LOAD, "per_second"),))


def made(number: int, server: str, per_second: float, load: Load = LOAD, case: str = IRIS) -> Result:
    return Result(number, case, server, load, Figures(per_second, p50_ms=2.0, p99_ms=3.0, cpu=per_second))


def rounds_of(*pairs: tuple[float, float]) -> list[Result]:
    return [made(number, *each) for number, (own, other) in enumerate(pairs) for each in ((OURS, own), (ECHO, other))]


def verdict(bar: Ratio | Growth, measured: Measured) -> list[str]:
    return [cell.strip() for cell in bars([bar], measured).splitlines()[-1].strip("|").split("|")]


@pytest.mark.parametrize(
    ("pairs", "measured", "met"),
    [
        pytest.param([(200, 100)], "2x", "yes", id="just"),
        pytest.param([(199, 100)], "1.99x", "**no**", id="not-quite"),
        pytest.param([(300, 100), (100, 100), (50, 10)], "3x", "yes", id="the-median-of-the-ratios"),
        pytest.param([(1000, 900), (30, 10), (10, 10)], "1.111x", "**no**", id="not-the-ratio-of-the-medians"),
    ],
)
def test_verdict_takes_the_median_ratio(pairs: list[tuple[float, float]], measured: str, met: str) -> None:
    assert verdict(TWICE, Measured(rounds_of(*pairs))) == ["twice", "≥ 2x", measured, met]


def test_only_rounds_with_both_servers_count() -> None:
    lone = made(1, OURS, 10.0)
    assert TWICE.measured([*rounds_of((300, 100)), lone]) == 3
    assert TWICE.measured([lone]) is None


def test_failed_or_missing_cell_has_no_verdict() -> None:
    assert verdict(TWICE, Measured())[2:] == ["", "not measured"]
    failed = Measured(rounds_of((300, 100)), [Failure(1, IRIS, ECHO, "died")])
    assert verdict(TWICE, failed)[2:] == ["", "not measured"]


def test_cells_are_added_or_compared() -> None:
    results = [made(0, OURS, 90), made(0, ECHO, 10), made(0, POST, 20)]
    both = replace(TWICE, over=(*TWICE.over, Cell(IRIS, POST, LOAD, "per_second")))
    assert both.measured(results) == 3
    assert replace(both, joined=max).measured(results) == 4.5


def test_bar_without_reference_limits_the_figure() -> None:
    bar = Ratio("fast", Limit(at_most=2, unit=" ms"), Cell(IRIS, OURS, LOAD, "p50_ms"))
    assert verdict(bar, Measured([made(0, OURS, 1)])) == ["fast", "≤ 2 ms", "2 ms", "yes"]


@pytest.mark.parametrize(("slope", "met"), [(1.0, "yes"), (0.91, "yes"), (1.09, "yes"), (0.85, "**no**"), (1.2, "**no**")], ids=str)
def test_growth_verdict_uses_the_power(slope: float, met: str) -> None:
    counts = (10, 100, 1_000, 10_000, 100_000)
    results = [made(0, OURS, 5 * max(count, 500) ** slope, Load("iris", count, 1), ROWS) for count in counts]
    assert verdict(Growth("grows", ROWS, OURS), Measured(results)) == ["grows", "0.9 to 1.1", f"{slope:.3g}", met]


def test_growth_needs_every_size_in_a_round() -> None:
    results = [made(number, OURS, 1, Load("iris", 10**number, 1), ROWS) for number in range(3)]
    assert Growth("grows", ROWS, OURS).measured(results) is None


def test_power_is_of_the_last_two_decades() -> None:
    assert last_decades([4, 500, 20, 100]) == [4, 20, 100, 500]
    assert last_decades([10, 100, 1_000, 10_000, 100_000]) == [1_000, 10_000, 100_000]
    assert last_decades([10, 100]) == [10, 100]
    assert power({10: 7.0, 100: 8.0, 1_000: 80.0, 10_000: 800.0}) == pytest.approx(1)
    assert power({10: 1.0, 100: 100.0, 1_000: 10_000.0}) == pytest.approx(2)


def test_growth_shows_the_cost_of_one_more() -> None:
    results = [made(0, OURS, 1 + 0.25 * count, Load("iris", count, 1), ROWS) for count in (10, 100, 1_000)]
    lines = growing(results, POST).splitlines()
    assert [line.split(" | ")[-1] for line in lines[-2:]] == ["250 |", "250 |"]


def test_sizes_are_rows_or_columns() -> None:
    results = [made(0, OURS, 1, Load(f"linear{width}", 1_000, 1)) for width in (500, 4)]
    assert list(sizes(results).values()) == [4, 500]
    assert set(PANELS) <= {case.name for case in CASES}


def test_every_bar_has_measured_cells() -> None:
    measured = {(case.name, server.name) for case in CASES for server in SERVERS if case.name in server.cases}
    alone = {(case.name, ALONE[kind], Load(name, rows, 1)) for case in CASES for kind, name, rows in case.alone}
    loads = {case.name: case.loads for case in CASES}
    for bar in BARS:
        cells = (bar.of, *bar.over) if isinstance(bar, Ratio) else ()
        assert bar.places <= measured | {(case, server) for case, server, _ in alone}, bar.says
        for cell in cells:
            assert cell.load in loads[cell.case] or (cell.case, cell.server, cell.load) in alone, bar.says
            assert cell.figure in Figures.__dataclass_fields__, bar.says
    assert len({bar.says for bar in BARS}) == len(BARS)


def test_every_server_has_existing_cases() -> None:
    names = {case.name for case in CASES}
    assert all(server.cases and set(server.cases) <= names for server in SERVERS)
    assert all(any(server.name == case.base and case.name in server.cases for server in SERVERS) for case in CASES)


@pytest.mark.parametrize(
    ("only", "servers"),
    [
        pytest.param("", [POST, ECHO, OURS], id="all"),
        pytest.param("GRPC", [POST, ECHO, OURS], id="two-of-them"),
        pytest.param("foretell", [POST, OURS], id="one-and-the-base"),
        pytest.param("hand-made", [POST, ECHO, OURS], id="the-case"),
        pytest.param("another", [], id="not-the-base-alone"),
    ],
)
def test_only_chooses_servers_or_cases(only: str, servers: list[str]) -> None:
    case = next(case for case in CASES if case.name == IRIS)
    among = tuple(server for server in SERVERS if server.name in (OURS, ECHO, POST))
    assert [server.name for server in chosen(case, only, among)] == servers


def test_server_that_cannot_run_is_named_instead() -> None:
    (server,) = (replace(server, missing="no compiler") for server in SERVERS if server.name == "bare gRPC in C++")
    assert all(chosen(case, among=(server,)) == () for case in CASES)
    assert "bare gRPC in C++ was not run: no compiler." in unable([server])
