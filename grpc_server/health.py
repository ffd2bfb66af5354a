"""The health service, `grpc.health.v1` (https://github.com/grpc/grpc/blob/master/doc/health-checking.md)."""

from typing import Any

from grpc_health.v1 import health, health_pb2


class HealthServicer(health.aio.HealthServicer):  # type: ignore[misc]  # grpcio-health-checking ships no types
    """grpcio's servicer with the method List, which it declares and leaves out."""

    async def List(self, _request: Any, _context: Any) -> health_pb2.HealthListResponse:
        """The state of every service."""
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._server_status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)
