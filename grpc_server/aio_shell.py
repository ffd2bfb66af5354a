"""The shell on grpc.aio: calls in, answers out, nothing decided here."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import NoReturn, TypeAlias

import grpc

from contract.service import Shape
from grpc_server.batcher import Job
from grpc_server.call import Call
from grpc_server.model import Model
from grpc_server.predictor import Answer, Predictor
from grpc_server.refusal import Refusal
from grpc_server.registry import Registry
from grpc_server.status import DETAILS, rpc_status
from lifecycle.request_id import request_id

WINDOW = 64
"""Messages of one stream that may wait for their answers at once."""

# In quotes: only the type stubs know these as generic.
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


def prediction_handlers(registry: Registry) -> list[grpc.GenericRpcHandler]:
    """One generic handler a service, over raw bytes."""
    return [grpc.method_handlers_generic_handler(model.service.full_name, _methods(registry, model)) for model in registry.models]


def _methods(registry: Registry, model: Model) -> dict[str, Handler]:
    handlers: dict[str, Handler] = {}
    for method in model.service.methods:
        predictor = registry.predictor(model, method.name)
        if method.shape is Shape.STREAM:
            handlers[method.name] = grpc.stream_stream_rpc_method_handler(partial(_stream, predictor, model))
        else:
            handlers[method.name] = grpc.unary_unary_rpc_method_handler(partial(_unary, predictor, model))
    return handlers


async def _unary(predictor: Predictor, model: Model, request: bytes, context: Context) -> bytes:
    call = _accepted(context)
    pending = _Pending(predictor, request, call)
    try:
        answer = await pending.answer
    except asyncio.CancelledError:
        pending.cancel()
        raise
    if isinstance(answer, Refusal):
        return await abort(context, answer, _facts(model, call))
    await context.send_initial_metadata(_facts(model, call))
    return answer


async def _stream(predictor: Predictor, model: Model, requests: AsyncIterator[bytes], context: Context) -> None:
    """Read ahead by at most WINDOW messages, answer in order, end at the first refusal."""
    call = _accepted(context)
    waiting: asyncio.Queue[_Pending | None] = asyncio.Queue(WINDOW)
    started: set[_Pending] = set()

    async def read() -> None:
        async for request in requests:
            pending = _Pending(predictor, request, call)
            started.add(pending)
            await waiting.put(pending)
        await waiting.put(None)

    reader = asyncio.create_task(read())
    index = 0
    try:
        while (pending := await waiting.get()) is not None:
            answer = await pending.answer
            started.discard(pending)
            if isinstance(answer, Refusal):
                await abort(context, answer.at(index), _facts(model, call))
            if not index:
                await context.send_initial_metadata(_facts(model, call))
            await context.write(answer)
            index += 1
    finally:
        reader.cancel()
        for pending in started:
            pending.cancel()


class _Pending:
    """A request on its way; `answer` is a future on the running loop."""

    def __init__(self, predictor: Predictor, request: bytes, call: Call) -> None:
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answer] = loop.create_future()
        self._loop = loop
        self._job: Job | None = predictor.predict(request, call, self._reply)

    def _reply(self, answer: Answer) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is gone where a model answers after the end of the drain.
            self._loop.call_soon_threadsafe(self._settle, answer)

    def _settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()


def _accepted(context: Context) -> Call:
    metadata = dict(context.invocation_metadata() or ())
    remaining = context.time_remaining()
    return Call(request_id(metadata.get("x-request-id")), None if remaining is None else time.monotonic() + remaining)


def _facts(model: Model, call: Call) -> tuple[tuple[str, str], ...]:
    """Which model answers which call.

    Initial metadata of an answer, but trailing metadata of a refusal: gRPC clients retry no call that has sent anything before.
    """
    return ("model-name", model.name), ("model-version", model.version), ("x-request-id", call.request_id)


async def abort(context: Context, refusal: Refusal, facts: tuple[tuple[str, str], ...]) -> NoReturn:
    """End the call with the refusal's status and details."""
    status = rpc_status(refusal)
    await context.abort(refusal.code, refusal.message, (*facts, (DETAILS, status.SerializeToString())))
