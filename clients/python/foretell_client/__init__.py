"""Predictions of the iris model over gRPC.

Start with `IrisClient.connect`, or `AsyncIrisClient.connect` under asyncio.
"""

from foretell_client.errors import DeadlineExceeded, InvalidAnswer, InvalidFeatures, PredictionError, ServerUnavailable, Violation
from foretell_client.iris import AsyncIrisClient, IrisClient
from foretell_client.stubs.iris.v1.iris_pb2 import Features, Response

__all__ = [
    "AsyncIrisClient",
    "DeadlineExceeded",
    "Features",
    "InvalidAnswer",
    "InvalidFeatures",
    "IrisClient",
    "PredictionError",
    "Response",
    "ServerUnavailable",
    "Violation",
]
