"""The model without a server: `python -m benchmarks.alone SECONDS FILE...` prints seconds and CPU seconds a call, as JSON.

Each file is a joblib of an estimator and the rows of one call.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import joblib


def measure(estimator: Any, rows: Any, seconds: float) -> tuple[float, float]:
    """Median seconds and mean CPU seconds of `predict_proba(rows)`, called for `seconds`, at least five times."""
    estimator.predict_proba(rows)
    taken: list[float] = []
    cpu, end = time.process_time(), time.monotonic() + seconds
    while len(taken) < 5 or time.monotonic() < end:
        start = time.perf_counter()
        estimator.predict_proba(rows)
        taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2], (time.process_time() - cpu) / len(taken)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    loaded = [joblib.load(Path(name)) for name in sys.argv[2:]]
    print(json.dumps([measure(estimator, rows, float(sys.argv[1])) for estimator, rows in loaded]))
