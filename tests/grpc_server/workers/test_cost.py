"""The cost of a run, and the placement that follows from it."""

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
    ("one_row", "batch", "wanted", "placed"),
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
def test_placement_follows_setting_or_cost(one_row: float, batch: float, wanted: str, placed: str) -> None:
    assert placement(Cost(one_row, batch), wanted) is Placement(placed)


def test_only_quick_models_run_inline() -> None:
    assert placement(measure(even, SAMPLE), "auto") is Placement.INLINE
    forest = RandomForestClassifier(100, random_state=0).fit(np.tile(SAMPLE, (20, 1)), [0, 1, 2] * 20)
    assert placement(measure(forest.predict_proba, SAMPLE), "auto") is Placement.PROCESS


def test_runs_grow_up_to_a_batch() -> None:
    runs: list[Matrix] = []

    def predict(rows: Matrix) -> Matrix:
        runs.append(rows)
        return even(rows)

    cost = measure(predict, SAMPLE)
    assert 0 < cost.one_row < math.inf
    assert 0 < cost.batch < math.inf
    assert sorted({len(rows) for rows in runs}) == [1, 8, 64]
    assert np.array_equal(runs[-1][:6], np.vstack([SAMPLE, SAMPLE]))


def test_slow_model_runs_single_rows_only() -> None:
    def slow(rows: Matrix) -> Matrix:
        end = time.thread_time() + 0.03
        while time.thread_time() < end:
            pass
        return even(rows)

    runtime = FakeRuntime(slow)
    cost = measure(runtime.predict, SAMPLE)
    assert set(runtime.runs) == {1}
    assert cost.one_row >= 0.03
    assert cost.batch == math.inf


@pytest.mark.parametrize("error", [ValueError, SystemExit, MemoryError])
def test_failing_model_has_no_known_cost(error: type[BaseException]) -> None:
    def fail(rows: Matrix) -> Matrix:
        raise error

    assert measure(fail, SAMPLE) == Cost(math.inf, math.inf)


def test_cores_respect_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert 1 <= cores() <= len(allowed)
