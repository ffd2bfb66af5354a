"""The benchmark itself: short turns that fill a page, wrong answers, failing servers, and the counters of a process tree."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from benchmarks import load, rounds, tree
from benchmarks.alone import prediction
from benchmarks.cases import CASES, Load
from benchmarks.page.report import BOTH, COLUMNS, report
from benchmarks.process import running, stop
from benchmarks.protocols import WrongAnswer
from benchmarks.rounds import ALONE, Measured, Result, Stage
from benchmarks.servers import IRIS, MIXED, ONE_PROCESS, POST, SERVERS, Server
from benchmarks.workloads import ONNX, stored

pytestmark = pytest.mark.slow

NAMED = {server.name: server for server in SERVERS}
GRPC, ECHO = NAMED["foretell gRPC"], NAMED["bare uvicorn"]
ONE, PROBED = Load("iris", 1, 1), Load("iris", 1, 1, probed=True)
BY_NAME = {case.name: case for case in CASES}
CASE = replace(BY_NAME[IRIS], loads=(ONE, PROBED), alone=((ONNX, "iris", 1),))
PRINTED = """
requests: 100 total, 101 started, {done} done, 100 succeeded, {failed} failed, 0 errored, 0 timeout
status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.88KB (1925) total, 1.33KB (1364) headers (space savings 0.00%), 3.13KB ({data}) data
"""
with_h2load = pytest.mark.skipif(not load.available(), reason=load.MISSING)


def measured(test: Any) -> Any:
    """Marks a test that starts servers and loads them; `make test-long` runs all in one process, which shares the stage."""
    return pytest.mark.long(pytest.mark.xdist_group("turns")(test))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with rounds.stage(CASE, (GRPC,)) as ready:
        yield ready


@measured
@with_h2load
def test_turn_fills_a_page(stage: Stage) -> None:
    turned = dict(rounds.turn(GRPC, stage, 1))
    figures = turned[ONE]
    assert min(figures.per_second, figures.p50_ms, figures.cpu, figures.switches, figures.rss_mib, figures.start) > 0
    assert figures.p50_ms <= figures.p99_ms
    assert figures.sklearn == 1
    assert (figures.health_p99_ms, turned[PROBED].health_p99_ms > 0) == (0, True)
    results = [Result(0, IRIS, GRPC.name, ONE, figures), Result(0, IRIS, POST, ONE, replace(figures, per_second=1.0))]
    page = report(Measured(results), "make bench", None)
    assert "### 1 row a request, 1 caller" in page
    assert f"| {' | '.join(['', *COLUMNS])} |" in page
    cells = next(line for line in page.splitlines() if line.startswith(f"| {GRPC.name} | {figures.per_second:,.0f}")).split(" | ")
    assert len(cells) == 1 + len(COLUMNS)
    assert cells[1] == f"{figures.per_second:,.0f} ({figures.per_second:.2f})"
    assert all("(1.00)" in cell for cell in cells[2:])


@measured
@with_h2load
def test_grpc_and_rest_are_loaded_together() -> None:
    load = Load("iris", 1, 1, both=True)
    case = replace(BY_NAME[MIXED], loads=(load,))
    measured = rounds.measure((case,), lambda _case: (NAMED[ONE_PROCESS],), 1, 1, lambda _line: None)
    assert measured.failures == []
    (result,) = measured.results
    assert min(result.figures.per_second, result.figures.other_per_second, result.figures.other_p99_ms) > 0
    page = report(measured, "make bench", None)
    assert f"| {' | '.join(['', *COLUMNS, *BOTH])} |" in page


@measured
def test_wrong_answer_stops_the_turn(stage: Stage) -> None:
    request = stage.request(GRPC.protocol, ONE)
    wrong = replace(request, expected=request.expected + 1e-6)
    with pytest.raises(WrongAnswer, match="is wrong"), running(GRPC, stage.folder, wrong):
        pass


@measured
@with_h2load
def test_failing_server_leaves_other_results() -> None:
    broken = Server(
        "broken", "", GRPC.protocol, lambda _folder, _port: [sys.executable, "-c", "raise SystemExit('no model')"], (IRIS,)
    )
    case = replace(CASE, loads=(ONE,), alone=())
    measured = rounds.measure((case,), lambda _case: (broken, ECHO), 1, 1, lambda _line: None)
    assert [(failure.server, "no model" in failure.why) for failure in measured.failures] == [("broken", True)]
    assert [result.server for result in measured.results] == [ECHO.name]
    page = report(measured, "make bench", None)
    assert "## What failed" in page
    assert "broken did not start: no model" in page


@measured
@with_h2load
def test_long_requests_of_one_caller_are_counted(stage: Stage) -> None:
    request = stage.request(ECHO.protocol, ONE)
    with running(ECHO, stage.folder, request) as process:
        answered = load.call(ECHO.protocol, process.port, request, 1, 1, ECHO.protocol.send(process.port, request)[0], each=0.2)
    assert answered.requests == 5
    assert answered.per_second != 5  # The rate counts the time of the requests themselves.


@measured
def test_model_alone_gives_served_predictions(stage: Stage) -> None:
    workload = stage.served["iris"]
    rows = workload.rows(20)
    bundle = stored(stage.folder, ONNX, "iris")
    (converted,) = prediction(bundle.manifest.format, bundle.artifact, rows)()
    assert np.allclose(converted, prediction("estimator", workload.estimator, rows)(), rtol=0, atol=1e-6)
    [(name, asked, figures)] = rounds.alone(stage, 0.01)
    assert (name, asked) == (ALONE[ONNX], ONE)
    assert figures.cpu > 0


def test_stop_ends_the_whole_process_tree() -> None:
    child = "import time; print(flush=True); time.sleep(1000)"
    parent = f"import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stop(process)
        assert process.stdout.read() == b""  # End of file: the child that held the other end is gone.


@pytest.mark.parametrize(("code", "processes"), [("import numpy", 1), ("pass", 0)])
def test_processes_with_a_package_are_counted(code: str, processes: int) -> None:
    command = [sys.executable, "-c", f"{code}; print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert tree.loaded(process.pid, "numpy") == processes


def test_settle_waits_for_idle_cpu() -> None:
    used = iter([0.5, 0.8, 0.9, 0.905, 2.0])
    tree.settle(lambda: next(used), patience=60)
    assert next(used) == 2.0
    busy = count()
    tree.settle(lambda: float(next(busy)), patience=0)
    assert next(busy) == 1


def test_cpu_and_switches_of_children_are_counted() -> None:
    spin = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = tree.usage(process.pid)
    assert used.cpu_seconds >= 0.29
    assert used.switches > 0
    assert used.peak_rss_mib > 10


@pytest.mark.parametrize(
    ("done", "failed", "data"),
    [
        pytest.param(100, 1, 3200, id="failed"),
        pytest.param(100, 0, 3199, id="short-answer"),
        pytest.param(100, 0, 0, id="refused-without-a-message"),
        pytest.param(101, 0, 3232, id="not-all-succeeded"),
        pytest.param(100, 0, 3233, id="more-than-under-way"),
    ],
)
def test_load_with_wrong_answers_is_refused(done: int, failed: int, data: int) -> None:
    with pytest.raises(WrongAnswer):
        load.check(PRINTED.format(done=done, failed=failed, data=data), 32, 1)


def test_load_returns_its_request_count() -> None:
    assert load.check(PRINTED.format(done=100, failed=0, data=3200), 32, 1) == 100
