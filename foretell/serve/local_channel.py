"""The channel of a bridge that shares its process with the server: straight to the handlers, without gRPC in between."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Generator, Iterable
from functools import partial
from typing import Any

import grpc

from foretell.serve.inline_scheduler import InlineScheduler
from foretell_lifecycle.request_id import request_id
from grpc_server.calls.call import CHOOSING, Call, Facts
from grpc_server.calls.handler import Answer, Handler, Pending
from grpc_server.calls.refusal import Refusal, UnknownMethod
from grpc_server.calls.status import trailing
from grpc_server.transport.transport import Work
from rest_bridge.http.shared_timer import SharedTimer


class LocalChannel:
    """A Channel whose calls end as they would over gRPC: the same bytes, status, details and metadata.

    Use it on the event loop on which it was made. That loop runs inline models: see Gathering.
    """

    def __init__(self, handlers: Iterable[Handler], work: Work, max_message_bytes: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.rounds: SharedTimer[LocalCall] = SharedTimer(LocalCall.look)
        self._handlers = {handler.path: handler for handler in handlers}
        self.gathering = InlineScheduler(work, self.loop)
        self._max_message_bytes = max_message_bytes

    def unary_unary(self, method: str) -> Any:
        """See Channel."""
        handler = self._handlers.get(method)
        return _unserved if handler is None else partial(self._call, handler)

    def _call(self, handler: Handler, request: bytes, *, timeout: float, metadata: Facts = ()) -> "LocalCall":
        told = dict(metadata)
        identity = told.pop("x-request-id", None) or request_id(None)  # The bridge has looked at it.
        choice = {name: told[name] for name in CHOOSING & told.keys()} if told else {}
        facts = Call(identity, time.monotonic() + timeout, choice or None)
        call = LocalCall(self, handler, facts)
        if len(request) > self._max_message_bytes:
            call.end(_error(grpc.StatusCode.RESOURCE_EXHAUSTED))
        else:
            call.begin(request)
        return call


class LocalCall:
    """See rest_bridge.channel.Call. The server may answer it from any thread."""

    __slots__ = ("_answer", "_channel", "_facts", "_handler", "_pending")

    def __init__(self, channel: LocalChannel, handler: Handler, facts: Call) -> None:
        self._channel = channel
        self._handler = handler
        self._facts = facts
        self._answer: asyncio.Future[bytes] = channel.loop.create_future()
        self._pending: Pending | None = None

    def __await__(self) -> Generator[Any, None, bytes]:
        """The response's bytes."""
        return self._answer.__await__()

    async def trailing_metadata(self) -> Facts:
        """What the answer is labelled with."""
        return self._handler.labels(self._facts)

    def cancel(self) -> bool:
        """Have the server drop what it has not begun."""
        if self._pending is not None:
            self._pending.cancel()
        self._leave()
        return self._answer.cancel()

    def begin(self, request: bytes) -> None:
        """Hand the request to the server, whose answer may be there when this returns."""
        pending = self._handler.answer(request, self._facts, self._reply)
        self._channel.gathering.run_soon()
        if not self._answer.done():
            self._pending = pending
            self._channel.rounds.enter(self, self._channel.loop)

    def end(self, outcome: bytes | grpc.aio.AioRpcError) -> None:
        """Give the caller its answer, or why there is none."""
        self._leave()
        if self._answer.done():
            return  # The caller is gone, or was told that its deadline has passed.
        if isinstance(outcome, bytes):
            self._answer.set_result(outcome)
        else:
            self._answer.set_exception(outcome)

    def look(self) -> None:
        """End the call once its deadline has passed, whatever the server is doing."""
        if self._facts.expired:
            if self._pending is not None:
                self._pending.cancel()
            self.end(_error(grpc.StatusCode.DEADLINE_EXCEEDED))

    def _reply(self, answer: Answer) -> None:
        outcome = _refused(answer, self._handler.labels(self._facts)) if isinstance(answer, Refusal) else answer
        if threading.get_ident() == self._channel.thread:
            self.end(outcome)
            return
        with contextlib.suppress(RuntimeError):  # The loop is gone where a model answers after the end of the drain.
            self._channel.loop.call_soon_threadsafe(self.end, outcome)

    def _leave(self) -> None:
        self._channel.rounds.leave(self)
        self._pending = None  # It holds this call: the two would wait for the garbage collector together.


def _unserved(_request: bytes, **_facts: Any) -> LocalCall:
    raise _refused(UnknownMethod("this server does not offer the method"), ())


def _refused(refusal: Refusal, labels: Facts) -> grpc.aio.AioRpcError:
    return _error(refusal.code, refusal.message, (*labels, trailing(refusal)))


def _error(code: grpc.StatusCode, details: str = "", metadata: tuple[tuple[str, str | bytes], ...] = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), details)
