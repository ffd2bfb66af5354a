"""Questions about a matrix that is mostly one row: numpy answers them in microseconds, of which a model may take no more itself."""

from math import isfinite

import numpy as np

from grpc_server.rows.mixed_rows import Matrix

_FEW = 32
"""Numbers up to which Python itself is quicker."""


def is_finite(matrix: Matrix) -> bool:
    """Whether all its numbers are."""
    if matrix.size <= _FEW and isfinite(sum(matrix.ravel().tolist())):
        return True  # The sum of finite numbers may be infinite, but no other sum is finite.
    return bool(np.isfinite(matrix).all())


def clipped(matrix: Matrix) -> Matrix:
    """The matrix itself, its numbers from 0 to 1 now; what is no number stays."""
    if matrix.size <= _FEW:
        numbers = matrix.ravel().tolist()
        if numbers and min(numbers) >= 0.0 and max(numbers) <= 1.0:
            return matrix
    return matrix.clip(0.0, 1.0, out=matrix)
