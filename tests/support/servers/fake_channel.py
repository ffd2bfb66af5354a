"""A fake of the channel between the bridge and a server."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

Answer = Callable[[bytes], bytes | BaseException]


class FakeChannel:
    """Answers every call by `answer`, and records the calls."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []
        self.cancelled = asyncio.Event()
        self.hold: tuple[asyncio.Event, asyncio.Event] | None = None
        """The first event is set when a call begins; its answer waits for the second."""

    def unary_unary(self, method: str) -> Any:
        def call(request: bytes, **options: Any) -> FakeCall:
            self.calls.append({"method": method, "request": request} | options)
            return FakeCall(self, request)

        return call


class FakeCall:
    """See rest_bridge.channel.ChannelCall."""

    def __init__(self, channel: FakeChannel, request: bytes) -> None:
        self._channel = channel
        self._request = request

    def __await__(self) -> Any:
        return self._answer().__await__()

    async def _answer(self) -> bytes:
        if self._channel.hold is not None:
            begun, go = self._channel.hold
            begun.set()
            await go.wait()
        answer = self._channel.answer(self._request)
        if answer is HANGS:
            await asyncio.Event().wait()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def trailing_metadata(self) -> Any:
        return (("model-name", "iris"), ("model-version", "7"), ("model-generation", "3"), ("secret", "kept"))

    def cancel(self) -> bool:
        self._channel.cancelled.set()
        return True


HANGS: Any = object()
"""In place of an answer: the call never ends."""


def rpc_error(code: grpc.StatusCode, text: str, *details: Message) -> grpc.aio.AioRpcError:
    """The error that a client gets, with these google.rpc details."""
    status = Status(code=code.value[0], message=text)
    for detail in details:
        packed = Packed()
        packed.Pack(detail)
        status.details.append(packed)
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString())) if details else grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=text)
