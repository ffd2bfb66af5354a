"""The check whether the loop transport works on the installed grpcio, whose completion queue is private: it makes real calls."""

import contextlib
import logging
import threading
from concurrent.futures import CancelledError, Future
from typing import Any

import grpc

from grpc_server.calls.call import Call
from grpc_server.calls.handler import Handler, Kind, Reply
from grpc_server.calls.refusal import UnknownService
from grpc_server.transport.transport import NoInlineModels

logger = logging.getLogger(__name__)

_UNARY, _CANCELLABLE, _STREAM = "/check/Unary", "/check/Cancellable", "/check/Stream"
_REFUSED, _PENDING, _UNKNOWN = "/check/Refused", "/check/Pending", "/check/Unknown"
_METADATA = (("x-request-id", "check"),)
_SECONDS = 5.0
"""Longest time for one call of the check; each takes about a millisecond."""


def loop_works() -> bool:
    """Whether a loop transport on the loopback answers, refuses and cancels calls as it must; if not, logs why."""
    try:
        from grpc_server.transport.loop import LoopTransport

        transport = LoopTransport(())
        address = f"127.0.0.1:{transport.add_port('127.0.0.1:0')}"
        accepted, pending = threading.Event(), Future[None]()
        transport.open(_handlers(accepted, pending), NoInlineModels())
        try:
            with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]) as channel:
                _check_answers(channel)
                _check_refusal(channel, _REFUSED, grpc.StatusCode.NOT_FOUND)
                _check_refusal(channel, _UNKNOWN, grpc.StatusCode.UNIMPLEMENTED)
                _check_cancellation(channel, accepted, pending)
        finally:
            transport.close(_SECONDS)
    except Exception as error:
        logger.warning("the loop transport does not work on grpcio %s; using grpc.aio, slower: %s", grpc.__version__, error)
        return False
    return True


def _handlers(accepted: threading.Event, pending: Future[None]) -> list[Handler]:
    def never_answer(_request: bytes, _call: Call, _reply: Reply) -> Future[None]:
        accepted.set()
        return pending

    return [
        Handler(_UNARY, Kind.UNARY, _echo),
        Handler(_CANCELLABLE, Kind.UNARY, _echo, cancellable=True),
        Handler(_STREAM, Kind.STREAM, _echo),
        Handler(_REFUSED, Kind.UNARY, lambda _request, _call, reply: reply(UnknownService("refused"))),
        Handler(_PENDING, Kind.UNARY, never_answer, cancellable=True),
    ]


def _echo(request: bytes, _call: Call, reply: Reply) -> None:
    reply(request)


def _check_answers(channel: Any) -> None:
    messages = [b"one", b"", b"three"]
    for path in (_UNARY, _CANCELLABLE):
        for message in messages:
            response, call = channel.unary_unary(path).with_call(message, timeout=_SECONDS, metadata=_METADATA)
            if response != message or tuple(call.trailing_metadata()) != _METADATA:
                raise RuntimeError(f"{path} replied {response!r} to {message!r} with metadata {call.trailing_metadata()}")
    responses = list(channel.stream_stream(_STREAM)(iter(messages), timeout=_SECONDS))
    if responses != messages:
        raise RuntimeError(f"a stream replied {responses} to {messages}")


def _check_refusal(channel: Any, path: str, code: grpc.StatusCode) -> None:
    error = channel.unary_unary(path).future(b"", timeout=_SECONDS).exception()
    if error is None or error.code() is not code:
        raise RuntimeError(f"{path} ended with {error or 'a response'} instead of {code.name}")


def _check_cancellation(channel: Any, accepted: threading.Event, pending: Future[None]) -> None:
    call = channel.unary_unary(_PENDING).future(b"", timeout=_SECONDS)
    if not accepted.wait(_SECONDS):
        raise RuntimeError("a call was not accepted")
    call.cancel()
    with contextlib.suppress(CancelledError, TimeoutError):
        pending.result(_SECONDS)
    if not pending.cancelled():
        raise RuntimeError("a cancellation was not noticed")
