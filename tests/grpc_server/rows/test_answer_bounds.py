"""The quick check of answers accepts what numpy's comparisons accept, and nothing that breaks a rule."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_server.rows.answer_bounds import FINITE, NOTHING, answer_bounds

RANGES = [(0.0, 1.0), (-2.0, 3.0), FINITE]
numbers = st.sampled_from([0.0, 0.5, 1.0, -0.1, 1.1, -2.0, 3.0, 1e308, math.nan, math.inf, -math.inf])


@given(st.lists(st.sampled_from(RANGES), min_size=1, max_size=4), st.integers(0, 20), st.data())
def test_accepts_rows_within_all_ranges(ranges: list[tuple[float, float]], count: int, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.lists(numbers, min_size=len(ranges), max_size=len(ranges)), min_size=count, max_size=count))
    within = all(low <= number <= high for row in rows for number, (low, high) in zip(row, ranges, strict=True))
    assert answer_bounds([ranges]).accepts(np.array(rows, np.float64).reshape(count, len(ranges))) == within


@pytest.mark.parametrize(("rows", "outputs"), [(1, 1), (1, 3), (100, 1), (100, 3)])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_not_accepted(rows: int, outputs: int, bad: float) -> None:
    answers = np.zeros((rows, outputs))
    assert answer_bounds([[FINITE] * outputs]).accepts(answers)
    answers[-1, -1] = bad
    assert not answer_bounds([[FINITE] * outputs]).accepts(answers)


def test_bounds_of_two_methods_are_the_narrower_ones() -> None:
    bounds = answer_bounds([[(0.0, 2.0), FINITE], [(1.0, 3.0), (0.0, 1.0)]])
    assert bounds.accepts(np.array([[1.5, 0.5]]))
    assert not bounds.accepts(np.array([[0.5, 0.5]]))
    assert not bounds.accepts(np.array([[1.5, 1.5]]))
    assert not answer_bounds([[FINITE], [NOTHING]]).accepts(np.array([[0.5]]))
