"""The health service, `grpc.health.v1` (https://github.com/grpc/grpc/blob/master/doc/health-checking.md)."""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from grpc_server.calls.call import Call
from grpc_server.calls.handler import Handler, Kind, Reply, immediate, parse
from grpc_server.calls.refusal import Refusal, UnknownService


class Health:
    """The state of every service: grpcio's servicer, with the method List, which it declares and leaves out."""

    def __init__(self) -> None:
        self._servicer = health.HealthServicer()

    def serving(self, service: str) -> None:
        """From now on `service` answers."""
        self._servicer.set(service, health_pb2.HealthCheckResponse.SERVING)

    def stopping(self) -> None:
        """From now on nothing answers, for good."""
        self._servicer.enter_graceful_shutdown()

    def handlers(self) -> list[Handler]:
        """Check, List and Watch."""
        return [
            Handler("/grpc.health.v1.Health/Check", Kind.UNARY, immediate(health_pb2.HealthCheckRequest, self._check)),
            Handler("/grpc.health.v1.Health/List", Kind.UNARY, immediate(health_pb2.HealthListRequest, self._list)),
            Handler("/grpc.health.v1.Health/Watch", Kind.WATCH, self._watch),
        ]

    def _check(self, request: Any) -> Any:
        context = _Context()
        response = self._servicer.Check(request, context)
        if context.code is not None:
            raise UnknownService("no service of this name is served here")
        return response

    def _list(self, _request: Any) -> Any:
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._servicer._server_status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    def _watch(self, request: bytes, _call: Call, reply: Reply) -> "_Context | None":
        def send(response: Any) -> None:
            if response is not None:  # None would close the stream; the caller has closed it.
                reply(response.SerializeToString())

        context = _Context()
        try:
            self._servicer.Watch(parse(health_pb2.HealthCheckRequest, request), context, send)
        except Refusal as refusal:
            reply(refusal)
            return None
        return context


class _Context:
    """The part of grpcio's context that its health servicer uses."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self._farewell: Callable[[], None] | None = None

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def add_callback(self, farewell: Callable[[], None]) -> None:
        self._farewell = farewell

    def cancel(self) -> None:
        """The watcher is gone."""
        if self._farewell is not None:
            self._farewell()
            self._farewell = None
