"""Checks and clips small matrices in pure Python: numpy takes microseconds a call, as long as a small model for one row."""

from math import isfinite

import numpy as np

from grpc_server.rows.mixed_rows import Matrix

_SMALL = 32
"""Up to this many numbers, pure Python is faster than numpy."""


def is_finite(matrix: Matrix) -> bool:
    """Whether every number is finite."""
    if matrix.size <= _SMALL and isfinite(sum(matrix.ravel().tolist())):
        return True  # Finite numbers may have an infinite sum, but a finite sum has only finite terms.
    return bool(np.isfinite(matrix).all())


def clip_to_unit(matrix: Matrix) -> Matrix:
    """Clips the numbers of `matrix` to 0 to 1, in place, and returns it; NaN stays."""
    if matrix.size <= _SMALL:
        numbers = matrix.ravel().tolist()
        if numbers and min(numbers) >= 0.0 and max(numbers) <= 1.0:
            return matrix
    return matrix.clip(0.0, 1.0, out=matrix)
