"""The transport on grpc.aio, grpcio's public API."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from typing import Any, NoReturn, TypeAlias

import grpc

from grpc_server.calls.call import Call, read_call
from grpc_server.calls.handler import WINDOW, Answer, Handler, Kind, Last
from grpc_server.calls.refusal import Refusal
from grpc_server.calls.status import details_metadata
from grpc_server.transport.event_loop import CallLoop
from grpc_server.transport.transport import InlineModels

# In quotes: only the type stubs know these as generic.
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


class AioTransport:
    """See Transport. Calls run on the event loop that starts it."""

    def __init__(self, options: Sequence[tuple[str, int]]) -> None:
        self._server = grpc.aio.server(options=options)

    def sibling(self, options: Sequence[tuple[str, int]]) -> "AioTransport":
        """See Transport."""
        return AioTransport(options)

    def add_port(self, target: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """See Transport."""
        if credentials is None:
            return int(self._server.add_insecure_port(target))
        return int(self._server.add_secure_port(target, credentials))

    async def start(self, handlers: Iterable[Handler], models: InlineModels) -> None:
        """See Transport."""
        self._server.add_generic_rpc_handlers((_HandlersByPath(handlers, CallLoop(models)),))
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """See Transport."""
        await self._server.stop(seconds)


class _HandlersByPath(grpc.GenericRpcHandler):
    """Handlers over raw bytes, found by path."""

    def __init__(self, handlers: Iterable[Handler], home: CallLoop) -> None:
        self._handlers = {handler.path: _method_handler(handler, home) for handler in handlers}

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """See grpc.GenericRpcHandler."""
        return self._handlers.get(str(details.method))


def _method_handler(handler: Handler, home: CallLoop) -> "grpc.RpcMethodHandler[bytes, bytes]":
    if handler.kind is Kind.UNARY:
        return grpc.unary_unary_rpc_method_handler(partial(_unary, handler, home))
    if handler.kind is Kind.STREAM:
        return grpc.stream_stream_rpc_method_handler(partial(_stream, handler, home))
    return grpc.unary_stream_rpc_method_handler(partial(_watch, handler, home))


async def _unary(handler: Handler, home: CallLoop, request: bytes, context: Context) -> bytes:
    call = _read_call(context)
    exchange = _Exchange(handler, home, request, call)
    try:
        answer = await exchange.answer
    except asyncio.CancelledError:
        exchange.cancel()
        raise
    if isinstance(answer, Refusal):
        return await _abort(context, answer, handler, call)
    context.set_trailing_metadata(handler.trailing_metadata(call))
    return answer


async def _stream(handler: Handler, home: CallLoop, requests: AsyncIterator[bytes], context: Context) -> None:
    """Read ahead by at most WINDOW messages, answer in order, end at the first refusal."""
    call = _read_call(context)
    places = asyncio.Semaphore(WINDOW)
    exchanges: asyncio.Queue[_Exchange | None] = asyncio.Queue()
    unanswered: set[_Exchange] = set()

    async def read() -> None:
        async for request in requests:
            await places.acquire()
            exchange = _Exchange(handler, home, request, call)
            unanswered.add(exchange)
            exchanges.put_nowait(exchange)
        exchanges.put_nowait(None)

    reader = asyncio.create_task(read())
    index = 0
    try:
        while (exchange := await exchanges.get()) is not None:
            answer = await exchange.answer
            unanswered.discard(exchange)
            places.release()
            if isinstance(answer, Refusal):
                await _abort(context, answer.at(index), handler, call)
            await context.write(answer)
            index += 1
        context.set_trailing_metadata(handler.trailing_metadata(call))
    finally:
        reader.cancel()
        for exchange in unanswered:
            exchange.cancel()
        call.end()


async def _watch(handler: Handler, home: CallLoop, request: bytes, context: Context) -> None:
    call = _read_call(context)
    answers: asyncio.Queue[Answer] = asyncio.Queue()
    pending = handler.answer(request, call, partial(home.run, answers.put_nowait))
    try:
        while True:
            answer = await answers.get()
            if isinstance(answer, Refusal):
                await _abort(context, answer, handler, call)
            await context.write(bytes(answer))
            if isinstance(answer, Last):
                context.set_trailing_metadata(handler.trailing_metadata(call))
                return
    finally:
        if pending is not None:
            pending.cancel()


class _Exchange:
    """One request with the future of its answer."""

    def __init__(self, handler: Handler, home: CallLoop, request: bytes, call: Call) -> None:
        self.answer: asyncio.Future[Answer] = home.loop.create_future()
        self._pending = handler.answer(request, call, partial(home.run, self._settle))
        home.run_models_soon()

    def _settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def cancel(self) -> None:
        if self._pending is not None:
            self._pending.cancel()


def _read_call(context: Any) -> Call:
    return read_call(context.invocation_metadata() or (), context.time_remaining())


async def _abort(context: Context, refusal: Refusal, handler: Handler, call: Call) -> NoReturn:
    """End the call with the refusal's status and details."""
    await context.abort(refusal.code, refusal.message, (*handler.trailing_metadata(call), details_metadata(refusal)))
