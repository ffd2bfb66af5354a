"""skops files (https://skops.readthedocs.io/en/stable/persistence.html): zips of plain parts, which run no code when loaded."""

from typing import Any

import skops.io

from grpc_server.errors import ModelUnloadable
from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime, unpickled


def load(artifact: bytes) -> EstimatorRuntime:
    """Load a model that consists of types that skops trusts. Raises ModelUnloadable."""
    return EstimatorRuntime(*unpickled("skops", lambda: _trusted(artifact)))


def _trusted(artifact: bytes) -> Any:
    untrusted = skops.io.get_untrusted_types(data=artifact)
    if untrusted:
        reason = f"the skops artifact holds types that skops does not trust: {', '.join(untrusted[:5])}"
        raise ModelUnloadable(reason, "save it with joblib, if you trust them")
    return skops.io.loads(artifact, trusted=[])


def dump(estimator: Any) -> tuple[bytes | None, str]:
    """The estimator as a skops file, and the reason; None if skops cannot hold it without untrusted types."""
    try:
        data: bytes = skops.io.dumps(estimator)
        untrusted = skops.io.get_untrusted_types(data=data)
    except Exception as error:  # skops documents no exceptions.
        return None, f"skops cannot hold it ({type(error).__name__})"
    if untrusted:
        return None, f"skops does not trust {', '.join(untrusted[:5])}"
    return data, "skops holds it without untrusted types"
