"""The checks for small matrices agree with numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import clip_to_unit, is_finite

numbers = st.one_of(st.floats(), st.floats(-0.5, 1.5), st.sampled_from([1e308, -1e308, float("inf"), float("nan"), -0.0]))
matrices = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9), elements=numbers)


@given(matrices)
def test_is_finite_agrees_with_numpy(matrix: Matrix) -> None:
    assert is_finite(matrix) == np.isfinite(matrix).all()


@given(matrices)
def test_clip_agrees_with_numpy(matrix: Matrix) -> None:
    expected = matrix.clip(0.0, 1.0)
    assert np.array_equal(clip_to_unit(matrix), expected, equal_nan=True)


@pytest.mark.parametrize("row", [[1e308, 1e308], [1e308] * 40])
def test_finite_numbers_may_have_an_infinite_sum(row: list[float]) -> None:
    assert is_finite(np.array([row]))
