"""How the answers of a shadow compare with those of production."""

from dataclasses import dataclass


@dataclass(slots=True)
class ShadowComparison:
    """How the answers of a shadow compare with those of production."""

    compared: int = 0
    """Rows."""
    agreeing: int = 0
    """Rows with equal labels; if a model gives none, the most probable class is its label."""
    largest_shift: float = 0.0
    """Largest difference of a number, such as a probability."""
    total_shift: float = 0.0
    """Sum over the rows of the largest difference in each."""
    seconds: float = 0.0
    """Time of all answers of the shadow."""
    answered: int = 0
    """Calls."""
    failed: int = 0
    """Calls that production answered and the shadow refused."""
    left_out: int = 0
    """Calls that were skipped because the queue was full."""
