"""How the answers of a shadow compare with those of production."""

from dataclasses import dataclass


@dataclass(slots=True)
class ShadowComparison:
    """How the answers of a shadow compare with those of production."""

    compared: int = 0
    """Rows."""
    agreeing: int = 0
    """Rows with the same labels; where a model gives none, the likeliest class is taken for it."""
    largest_shift: float = 0.0
    """Largest difference of a number, such as a probability."""
    total_shift: float = 0.0
    """Sum over the rows of the largest difference in each."""
    seconds: float = 0.0
    """Time that the shadow took for its answers."""
    answered: int = 0
    """Calls."""
    failed: int = 0
    """Calls that production answered and the shadow refused."""
    left_out: int = 0
    """Calls that came while too many waited."""
