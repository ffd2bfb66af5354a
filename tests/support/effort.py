"""How many examples the tests try: a few in each run, many with `HYPOTHESIS_PROFILE=thorough`."""

import os

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def tries(each_run: int, thorough: int) -> int:
    """The number of generated examples in this run."""
    return thorough if THOROUGH else each_run
