"""joblib files (https://joblib.readthedocs.io): pickles, which run code when they are loaded.

Load only bytes whose digest the repository has recorded.
"""

import io
from typing import Any

import joblib

from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime, unpickled


def load(artifact: bytes) -> EstimatorRuntime:
    """Unpickle a model. Raises ModelUnloadable."""
    return EstimatorRuntime(*load_estimator(artifact))


def load_estimator(artifact: bytes) -> tuple[Any, str]:
    """See `unpickled`."""
    return unpickled("joblib", lambda: joblib.load(io.BytesIO(artifact)))
