"""skops: a zip of plain parts that runs no code when it is loaded (https://skops.readthedocs.io/en/stable/persistence.html)."""

from typing import Any

import skops.io

from grpc_server.errors import ModelUnloadable
from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime, unloadable


def load(artifact: bytes) -> EstimatorRuntime:
    """Load a model of trusted types only. Raises ModelUnloadable."""
    with unloadable("skops") as fitting:
        untrusted = skops.io.get_untrusted_types(data=artifact)
        if untrusted:
            raise ModelUnloadable(
                f"the skops artifact holds types that skops does not trust: {', '.join(untrusted[:5])}",
                "save it with joblib, if you trust them",
            )
        estimator = skops.io.loads(artifact, trusted=[])
    return EstimatorRuntime(estimator, fitting.version)


def dump(estimator: Any) -> tuple[bytes | None, str]:
    """The estimator as skops and why; None where skops cannot hold it without untrusted types."""
    try:
        data: bytes = skops.io.dumps(estimator)
        untrusted = skops.io.get_untrusted_types(data=data)
    except Exception as error:  # skops documents no exceptions for what it cannot hold.
        return None, f"skops cannot hold it ({type(error).__name__})"
    if untrusted:
        return None, f"skops does not trust {', '.join(untrusted[:5])}"
    return data, "skops holds it without untrusted types"
