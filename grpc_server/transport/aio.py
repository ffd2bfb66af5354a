"""The shell on grpc.aio, grpcio's public API: calls in, answers out, nothing decided here."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from threading import get_ident
from typing import Any, NoReturn, TypeAlias

import grpc

from foretell_lifecycle.request_id import request_id
from grpc_server.calls.call import CHOOSING, Call
from grpc_server.calls.handler import WINDOW, Answer, Handler, Kind, Last
from grpc_server.calls.refusal import Refusal
from grpc_server.calls.status import trailing
from grpc_server.transport.transport import Work

# In quotes: only the type stubs know these as generic.
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


_MOST_GATHERED = 256
"""Rows that are gathered at most while more keep coming."""


class AioTransport:
    """See Shell. Its calls run on the event loop that started it."""

    def __init__(self, options: Sequence[tuple[str, int]]) -> None:
        self._server = grpc.aio.server(options=options)

    def beside(self, options: Sequence[tuple[str, int]]) -> "AioTransport":
        """See Shell."""
        return AioTransport(options)

    def add_port(self, target: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """See Shell."""
        if credentials is None:
            return int(self._server.add_insecure_port(target))
        return int(self._server.add_secure_port(target, credentials))

    async def start(self, handlers: Iterable[Handler], work: Work) -> None:
        """See Shell."""
        self._server.add_generic_rpc_handlers((_Table(handlers, _Soon(work)),))
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """See Shell."""
        await self._server.stop(seconds)


class _Table(grpc.GenericRpcHandler):
    """Handlers by path, over raw bytes."""

    def __init__(self, handlers: Iterable[Handler], soon: "_Soon") -> None:
        self._handlers = {handler.path: _method_handler(handler, soon) for handler in handlers}

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """See grpc.GenericRpcHandler."""
        return self._handlers.get(str(details.method))


class _Soon:
    """Runs inline models once a turn of the loop brings no more rows: what arrives meanwhile goes together."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._scheduled = False

    def __call__(self) -> None:
        if not self._scheduled and self._work.waiting:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._look, 0)

    def _look(self, before: int) -> None:
        waiting = self._work.waiting
        if before < waiting < _MOST_GATHERED:
            asyncio.get_running_loop().call_soon(self._look, waiting)
            return
        self._work.run_waiting()
        self._scheduled = False
        self()


def _method_handler(handler: Handler, soon: _Soon) -> "grpc.RpcMethodHandler[bytes, bytes]":
    if handler.kind is Kind.UNARY:
        return grpc.unary_unary_rpc_method_handler(partial(_unary, handler, soon))
    if handler.kind is Kind.STREAM:
        return grpc.stream_stream_rpc_method_handler(partial(_stream, handler, soon))
    return grpc.unary_stream_rpc_method_handler(partial(_watch, handler))


async def _unary(handler: Handler, soon: _Soon, request: bytes, context: Context) -> bytes:
    call = _accepted(context)
    pending = _Pending(handler, request, call)
    soon()
    try:
        answer = await pending.answer
    except asyncio.CancelledError:
        pending.cancel()
        raise
    if isinstance(answer, Refusal):
        return await _abort(context, answer, handler, call)
    context.set_trailing_metadata(handler.labels(call))
    return answer


async def _stream(handler: Handler, soon: _Soon, requests: AsyncIterator[bytes], context: Context) -> None:
    """Read ahead by at most WINDOW messages, answer in order, end at the first refusal."""
    call = _accepted(context)
    places = asyncio.Semaphore(WINDOW)
    waiting: asyncio.Queue[_Pending | None] = asyncio.Queue()
    started: set[_Pending] = set()

    async def read() -> None:
        async for request in requests:
            await places.acquire()
            pending = _Pending(handler, request, call)
            soon()
            started.add(pending)
            waiting.put_nowait(pending)
        waiting.put_nowait(None)

    reader = asyncio.create_task(read())
    index = 0
    try:
        while (pending := await waiting.get()) is not None:
            answer = await pending.answer
            started.discard(pending)
            places.release()
            if isinstance(answer, Refusal):
                await _abort(context, answer.at(index), handler, call)
            await context.write(answer)
            index += 1
        context.set_trailing_metadata(handler.labels(call))
    finally:
        reader.cancel()
        for pending in started:
            pending.cancel()
        call.over()


async def _watch(handler: Handler, request: bytes, context: Context) -> None:
    call = _accepted(context)
    answers: asyncio.Queue[Answer] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def push(answer: Answer) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is gone with whoever watched.
            loop.call_soon_threadsafe(answers.put_nowait, answer)

    work = handler.answer(request, call, push)
    try:
        while True:
            answer = await answers.get()
            if isinstance(answer, Refusal):
                await _abort(context, answer, handler, call)
            await context.write(bytes(answer))
            if isinstance(answer, Last):
                context.set_trailing_metadata(handler.labels(call))
                return
    finally:
        if work is not None:
            work.cancel()


class _Pending:
    """A request on its way; `answer` is a future on the running loop."""

    def __init__(self, handler: Handler, request: bytes, call: Call) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self.answer: asyncio.Future[Answer] = self._loop.create_future()
        self._work = handler.answer(request, call, self._reply)

    def _reply(self, answer: Answer) -> None:
        if get_ident() == self._thread:
            self._settle(answer)
            return
        with contextlib.suppress(RuntimeError):  # The loop is gone where a model answers after the end of the drain.
            self._loop.call_soon_threadsafe(self._settle, answer)

    def _settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()


def _accepted(context: Any) -> Call:
    metadata = dict(context.invocation_metadata() or ())
    remaining = context.time_remaining()
    choice = {name: metadata[name] for name in CHOOSING & metadata.keys()} or None
    return Call(request_id(metadata.get("x-request-id")), None if remaining is None else time.monotonic() + remaining, choice)


async def _abort(context: Context, refusal: Refusal, handler: Handler, call: Call) -> NoReturn:
    """End the call with the refusal's status and details."""
    await context.abort(refusal.code, refusal.message, (*handler.labels(call), trailing(refusal)))
