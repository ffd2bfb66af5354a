"""What a run costs, and where the model therefore runs."""

import math
import os
import time

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from grpc_server.rows.mixed_rows import Matrix
from grpc_server.workers.cost import Cost, Placement, cores, measure, placement
from tests.support.fakes import FakeRuntime, even

SAMPLE = np.random.default_rng(0).random((3, 4))


@pytest.mark.parametrize(
    ("one_row", "batch", "asked", "placed"),
    [
        (0.0001, 0.0002, "auto", "inline"),
        (0.001, 0.004, "auto", "inline"),
        (0.0011, 0.002, "auto", "process"),
        (0.0005, 0.0041, "auto", "process"),
        (0.0005, math.inf, "auto", "process"),
        (math.inf, math.inf, "auto", "process"),
        (0.0001, 0.0002, "process", "process"),
        (1.0, math.inf, "inline", "inline"),
    ],
)
def test_a_model_runs_where_it_is_told_else_where_its_cost_puts_it(one_row: float, batch: float, asked: str, placed: str) -> None:
    assert placement(Cost(one_row, batch), asked) is Placement(placed)


def test_a_model_of_microseconds_runs_in_line_and_one_of_milliseconds_in_processes() -> None:
    assert placement(measure(even, SAMPLE), "auto") is Placement.INLINE
    forest = RandomForestClassifier(100, random_state=0).fit(np.tile(SAMPLE, (20, 1)), [0, 1, 2] * 20)
    assert placement(measure(forest.predict_proba, SAMPLE), "auto") is Placement.PROCESS


def test_a_model_is_tried_with_one_row_and_with_ever_more_of_the_sample() -> None:
    seen: list[Matrix] = []

    def predict(rows: Matrix) -> Matrix:
        seen.append(rows)
        return even(rows)

    cost = measure(predict, SAMPLE)
    assert 0 < cost.one_row < math.inf
    assert 0 < cost.batch < math.inf
    assert sorted({len(rows) for rows in seen}) == [1, 8, 64]
    assert np.array_equal(seen[-1][:6], np.vstack([SAMPLE, SAMPLE]))


def test_a_slow_model_is_not_tried_with_more_than_one_row() -> None:
    def slow(rows: Matrix) -> Matrix:
        end = time.perf_counter() + 0.03
        while time.perf_counter() < end:
            pass
        return even(rows)

    runtime = FakeRuntime(slow)
    cost = measure(runtime.predict, SAMPLE)
    assert set(runtime.runs) == {1}
    assert cost.one_row >= 0.03
    assert cost.batch == math.inf


@pytest.mark.parametrize("error", [ValueError, SystemExit, MemoryError])
def test_a_model_that_refuses_the_sample_has_no_known_cost(error: type[BaseException]) -> None:
    def refuse(rows: Matrix) -> Matrix:
        raise error

    assert measure(refuse, SAMPLE) == Cost(math.inf, math.inf)


def test_cores_are_those_that_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert 1 <= cores() <= len(allowed)
