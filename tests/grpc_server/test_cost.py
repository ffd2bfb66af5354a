"""Where a model runs follows what it costs."""

import time

import numpy as np
import pytest

from grpc_server.cost import INLINE_SECONDS, cost
from grpc_server.runtimes import Matrix
from tests.fakes import FakeRuntime, even


def slow(rows: Matrix) -> Matrix:
    end = time.perf_counter() + 3 * INLINE_SECONDS
    while time.perf_counter() < end:
        pass
    return even(rows)


@pytest.mark.parametrize("rows", [np.zeros((0, 4)), np.ones((7, 4))])
def test_a_model_is_measured_on_single_rows_whatever_is_at_hand(rows: Matrix) -> None:
    runtime = FakeRuntime()
    assert cost(runtime, rows) > 0
    assert set(runtime.runs) == {1}


def test_a_slow_model_costs_at_least_what_its_runs_take() -> None:
    assert cost(FakeRuntime(slow), np.zeros((1, 4))) >= 3 * INLINE_SECONDS
