"""How hard the tests try: enough in each run to notice what breaks often, and with `HYPOTHESIS_PROFILE=thorough` much more."""

import os

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def tries(each_run: int, thorough: int) -> int:
    """How often to try something made up."""
    return thorough if THOROUGH else each_run
