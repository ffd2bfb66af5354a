"""How many examples the tests try: a few in each run, more with `HYPOTHESIS_PROFILE=check`, many with `thorough` as its value."""

import os

_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "")

THOROUGH = _PROFILE == "thorough"


def tries(each_run: int, thorough: int, check: int | None = None) -> int:
    """The number of generated examples in this run; `check` is what `make check` tries, if that is more than each run."""
    return {"thorough": thorough, "check": check or each_run}.get(_PROFILE, each_run)
