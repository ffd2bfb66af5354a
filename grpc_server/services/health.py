"""The health service, `grpc.health.v1` (https://github.com/grpc/grpc/blob/master/doc/health-checking.md)."""

from collections.abc import Callable, Iterable
from typing import Any

from grpc_health.v1 import health, health_pb2

from grpc_server.calls.call import Call
from grpc_server.calls.handler import Handler, Kind, Reply, immediate, parse
from grpc_server.calls.refusal import Refusal, UnknownService


class Health:
    """The health of every service: grpcio's servicer for Watch. Safe for threads."""

    def __init__(self, services: Iterable[str]) -> None:
        """Report `services` as SERVING."""
        self._servicer = health.HealthServicer()
        self._stopping = False
        self._statuses = dict.fromkeys(["", *services], health_pb2.HealthCheckResponse.SERVING)
        for service, status in self._statuses.items():
            self._servicer.set(service, status)

    def set_serving(self, service: str, *, serving: bool) -> None:
        """Report one service as SERVING or NOT_SERVING, unless the server stops."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        if not self._stopping and self._statuses[service] != status:
            self._statuses[service] = status
            self._servicer.set(service, status)

    def set_stopping(self) -> None:
        """Report every service as NOT_SERVING, for good."""
        self._stopping = True
        self._statuses = dict.fromkeys(self._statuses, health_pb2.HealthCheckResponse.NOT_SERVING)
        self._servicer.enter_graceful_shutdown()

    def handlers(self) -> list[Handler]:
        """Of Check, List and Watch."""
        return [
            Handler("/grpc.health.v1.Health/Check", Kind.UNARY, immediate(health_pb2.HealthCheckRequest, self._check)),
            Handler("/grpc.health.v1.Health/List", Kind.UNARY, immediate(health_pb2.HealthListRequest, self._list)),
            Handler("/grpc.health.v1.Health/Watch", Kind.WATCH, self._watch),
        ]

    def _check(self, request: Any) -> Any:
        status = self._statuses.get(request.service)
        if status is None:
            raise UnknownService("no service of this name is served here")
        return health_pb2.HealthCheckResponse(status=status)

    def _list(self, _request: Any) -> Any:
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._statuses.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    def _watch(self, request: bytes, _call: Call, reply: Reply) -> "_OpenWatch | None":
        def send(response: Any) -> None:
            if response is not None:  # None asks to close the stream, which its caller has closed.
                reply(response.SerializeToString())

        watch = _OpenWatch()
        try:
            self._servicer.Watch(parse(health_pb2.HealthCheckRequest, request), watch, send)
        except Refusal as refusal:
            reply(refusal)
            return None
        return watch


class _OpenWatch:
    """For grpcio's servicer, the context of a watch; for the transport, a pending request."""

    _callback: Callable[[], None] | None = None

    def add_callback(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def cancel(self) -> None:
        """See Pending; a second call does nothing."""
        if self._callback is not None:
            self._callback()
            self._callback = None
