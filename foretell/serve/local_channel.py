"""The channel of a bridge in the same process as the server: calls the handlers directly, without gRPC."""

import asyncio
from collections.abc import Generator, Iterable
from functools import partial
from typing import Any

import grpc

from grpc_server.calls.call import Call, Metadata, read_call
from grpc_server.calls.handler import Answer, Handler, Pending
from grpc_server.calls.refusal import Refusal, UnknownMethod
from grpc_server.calls.status import details_metadata
from grpc_server.transport.event_loop import CallLoop
from grpc_server.transport.transport import InlineModels
from rest_bridge.http.shared_timer import SharedTimer


class LocalChannel:
    """A Channel whose calls end as over gRPC: the same bytes, status, details, metadata. The loop that creates it runs models."""

    def __init__(self, handlers: Iterable[Handler], models: InlineModels, max_message_bytes: int) -> None:
        self.home = CallLoop(models)
        self.deadlines: SharedTimer[LocalCall] = SharedTimer(LocalCall.check_deadline)
        self._handlers = {handler.path: handler for handler in handlers}
        self._max_message_bytes = max_message_bytes

    def unary_unary(self, method: str) -> Any:
        """See Channel."""
        handler = self._handlers.get(method)
        return _unimplemented if handler is None else partial(self._call, handler)

    def _call(self, handler: Handler, request: bytes, *, timeout: float, metadata: Metadata = ()) -> "LocalCall":
        call = LocalCall(self, handler, read_call(metadata, timeout))
        if len(request) > self._max_message_bytes:
            call.end(_error(grpc.StatusCode.RESOURCE_EXHAUSTED))
        else:
            call.start(request)
        return call


class LocalCall:
    """See rest_bridge.channel.ChannelCall. The server may reply from any thread."""

    __slots__ = ("_call", "_channel", "_handler", "_pending", "_response")

    def __init__(self, channel: LocalChannel, handler: Handler, call: Call) -> None:
        self._channel = channel
        self._handler = handler
        self._call = call
        self._response: asyncio.Future[bytes] = channel.home.loop.create_future()
        self._pending: Pending | None = None

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._response.__await__()

    async def trailing_metadata(self) -> Metadata:
        """Pairs of name and value."""
        return self._handler.trailing_metadata(self._call)

    def cancel(self) -> bool:
        """Have the server drop the request unless the model runs it already."""
        if self._pending is not None:
            self._pending.cancel()
        self._release()
        return self._response.cancel()

    def start(self, request: bytes) -> None:
        """Give the request to its handler, which may reply before this returns."""
        pending = self._handler.answer(request, self._call, self._reply)
        self._channel.home.run_models_soon()
        if not self._response.done():
            self._pending = pending
            self._channel.deadlines.add(self, self._channel.home.loop)

    def end(self, outcome: bytes | grpc.aio.AioRpcError) -> None:
        """Complete the call with a response or an error, unless the caller cancelled it or its deadline passed."""
        self._release()
        if self._response.done():
            return
        if isinstance(outcome, bytes):
            self._response.set_result(outcome)
        else:
            self._response.set_exception(outcome)

    def check_deadline(self) -> None:
        """End the call if its deadline has passed, even while the model runs."""
        if self._call.expired:
            if self._pending is not None:
                self._pending.cancel()
            self.end(_error(grpc.StatusCode.DEADLINE_EXCEEDED))

    def _reply(self, answer: Answer) -> None:
        metadata = self._handler.trailing_metadata(self._call)
        self._channel.home.run(self.end, _refusal_error(answer, metadata) if isinstance(answer, Refusal) else answer)

    def _release(self) -> None:
        self._channel.deadlines.remove(self)
        self._pending = None  # Breaks a reference cycle, which would hold the call until the garbage collector runs.


def _unimplemented(_request: bytes, **_options: Any) -> LocalCall:
    raise _refusal_error(UnknownMethod("this server does not offer the method"), ())


def _refusal_error(refusal: Refusal, metadata: Metadata) -> grpc.aio.AioRpcError:
    return _error(refusal.code, refusal.message, (*metadata, details_metadata(refusal)))


def _error(code: grpc.StatusCode, details: str = "", metadata: tuple[tuple[str, str | bytes], ...] = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), details)
