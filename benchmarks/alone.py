"""Measures models without a server: `python -m benchmarks.alone SECONDS FILE...` prints seconds and CPU seconds per call, as JSON.

Each file is a joblib of three: a format, a model in that format, and the rows of one call.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib


def prediction(format_name: str, model: Any, rows: Any) -> Callable[[], Any]:
    """A call of the model on rows that are already in its input type."""
    if format_name == "estimator":
        return partial(model.predict_proba, rows)
    if format_name != "onnx":
        from grpc_server.rows.mixed_rows import FLOAT64
        from grpc_server.runtimes.formats import format_table

        runtime = format_table.load(format_name, model)
        return partial(runtime.sources([FLOAT64] * runtime.width, rows, ())[0].run, rows)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # As Foretell sets it.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    number = "float32" if taken.type == "tensor(float)" else "float64"
    return partial(session.run, [session.get_outputs()[-1].name], {taken.name: rows.astype(number)})


def measure(call: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Median seconds and mean CPU seconds of a call, repeated for `seconds` and at least five times."""
    call()
    taken: list[float] = []
    cpu, end = time.process_time(), time.monotonic() + seconds
    while len(taken) < 5 or time.monotonic() < end:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2], (time.process_time() - cpu) / len(taken)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    calls = [prediction(*joblib.load(Path(name))) for name in sys.argv[2:]]
    print(json.dumps([measure(call, float(sys.argv[1])) for call in calls]))
