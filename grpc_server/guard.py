"""A frame around the servicers of other packages.

grpcio answers bytes that are no message with UNKNOWN, and passes the text of an exception on to the caller.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from grpc_server.call import Call
from grpc_server.incident import failure
from lifecycle.request_id import request_id

logger = logging.getLogger(__name__)

Handler = Any
"""grpcio gives a handler no useful type: which of its four behaviours is set depends on two flags."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # in quotes: only the type stubs know it as generic


class ParseGuard(grpc.aio.ServerInterceptor):
    """Takes raw bytes in place of every handler that would have grpcio parse them."""

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                _streaming(handler.stream_stream, handler.request_deserializer), None, handler.response_serializer
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                _single(handler.unary_stream, handler.request_deserializer), None, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            _single(handler.unary_unary, handler.request_deserializer), None, handler.response_serializer
        )


def _single(behaviour: Any, parse: Callable[[bytes], Any]) -> Any:
    async def guarded(request: bytes, context: Context) -> Any:
        message = await _parsed(parse, request, context)
        try:
            return await behaviour(message, context)
        except Exception as error:
            await _refuse(error, context)

    return guarded


def _streaming(behaviour: Any, parse: Callable[[bytes], Any]) -> Any:
    async def guarded(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async def messages() -> AsyncIterator[Any]:
            async for request in requests:
                yield await _parsed(parse, request, context)

        try:
            async for response in behaviour(messages(), context):
                yield response
        except Exception as error:
            await _refuse(error, context)

    return guarded


async def _parsed(parse: Callable[[bytes], Any], request: bytes, context: Context) -> Any:
    try:
        return parse(request)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request is not a message of this method's type")


async def _refuse(error: Exception, context: Context) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, NotImplementedError):
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server does not offer the method")
    refusal = failure(logger, "a servicer of another package", Call(request_id(None), None), error)
    await context.abort(refusal.code, refusal.message)
