"""joblib: a pickle, which runs code when it is loaded. Only bytes whose digest the operator recorded may come here."""

import io
from typing import Any

import joblib

from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime, unloadable


def load(artifact: bytes) -> EstimatorRuntime:
    """Unpickle a model. Raises ModelUnloadable."""
    return EstimatorRuntime(*load_estimator(artifact))


def load_estimator(artifact: bytes) -> tuple[Any, str]:
    """Unpickle whatever the bytes hold; the version of scikit-learn that it was fitted with, where it is not the installed one.

    Raises ModelUnloadable.
    """
    with unloadable("joblib") as fitting:
        estimator = joblib.load(io.BytesIO(artifact))
    return estimator, fitting.version
