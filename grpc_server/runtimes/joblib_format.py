"""joblib: a pickle, which runs code when it is loaded. Only bytes whose digest the operator recorded may come here."""

import io
from typing import Any

import joblib

from grpc_server.runtimes.estimator import EstimatorRuntime, unloadable


def load(artifact: bytes) -> EstimatorRuntime:
    """Unpickle a model. Raises ModelUnloadable."""
    return EstimatorRuntime(load_estimator(artifact))


def load_estimator(artifact: bytes) -> Any:
    """Unpickle whatever the bytes hold. Raises ModelUnloadable."""
    with unloadable("joblib"):
        return joblib.load(io.BytesIO(artifact))
