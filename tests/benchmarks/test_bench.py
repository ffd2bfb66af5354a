"""The benchmark itself: one short turn gives a report, and a wrong answer stops it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import load, rounds
from benchmarks.doors import WrongAnswer
from benchmarks.load import Load
from benchmarks.report import COLUMNS, report
from benchmarks.rounds import CASES, Result, Stage
from benchmarks.servers import POST, SERVERS, running

GRPC = next(server for server in SERVERS if server.name == "foretell gRPC")
ONE = Load("iris", 1, 1)
PRINTED = """
requests: 100 total, 101 started, {done} done, 100 succeeded, {failed} failed, 0 errored, 0 timeout
status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.88KB (1925) total, 1.33KB (1364) headers (space savings 0.00%), 3.13KB ({data}) data
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with rounds.stage(CASES[0]) as ready:
        yield ready


@pytest.mark.skipif(not load.available(), reason=load.MISSING)
def test_a_turn_fills_a_report(stage: Stage) -> None:
    [(turned, figures)] = rounds.turn(GRPC, stage, (ONE,), 1)
    assert turned == ONE
    assert min(figures.per_second, figures.p50_ms, figures.cpu, figures.switches, figures.rss_mib, figures.start) > 0
    assert figures.p50_ms <= figures.p99_ms
    results = [Result(0, "iris", GRPC.name, ONE, figures), Result(0, "iris", POST, ONE, replace(figures, per_second=1.0))]
    page = report(results, "make bench", None)
    assert "### 1 row a request, 1 caller" in page
    assert f"| {' | '.join(['', *COLUMNS])} |" in page
    cells = next(line for line in page.splitlines() if line.startswith(f"| {GRPC.name} | {figures.per_second:,.0f}")).split(" | ")
    assert len(cells) == 1 + len(COLUMNS)
    assert cells[1] == f"{figures.per_second:,.0f} ({figures.per_second:.2f})"
    assert all("(1.00)" in cell for cell in cells[2:])


def test_a_server_that_answers_something_else_is_found_out(stage: Stage, tmp_path: Path) -> None:
    served = stage.served["iris"]
    request = GRPC.door.request(stage.folder, served, 1)
    wrong = replace(request, expected=request.expected + 1e-6)
    with pytest.raises(WrongAnswer, match="is wrong"), running(GRPC, stage.folder, wrong):
        pass


@pytest.mark.parametrize(
    ("done", "failed", "data"),
    [
        pytest.param(100, 1, 3200, id="failed"),
        pytest.param(100, 0, 3199, id="an-answer-too-short"),
        pytest.param(100, 0, 0, id="refused-without-a-message"),
        pytest.param(101, 0, 3232, id="not-all-succeeded"),
        pytest.param(100, 0, 3233, id="more-than-is-on-its-way"),
    ],
)
def test_loads_with_wrong_answers_are_found_out(done: int, failed: int, data: int) -> None:
    with pytest.raises(WrongAnswer):
        load.check(PRINTED.format(done=done, failed=failed, data=data), 32, 1)


def test_a_right_load_counts_its_requests() -> None:
    assert load.check(PRINTED.format(done=100, failed=0, data=3200), 32, 1) == 100
