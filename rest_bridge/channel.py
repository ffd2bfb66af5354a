"""The channel to the model server, and the calls that the bridge makes on it, with serialised messages."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import grpc

from foretell_contract.service import Method
from rest_bridge.http.request_headers import VersionSelector

_MODEL_HEADERS = ("model-name", "model-version", "model-generation")


class ChannelCall(Protocol):
    """A call in flight. Awaiting it returns the serialised response or raises grpc.aio.AioRpcError."""

    def __await__(self) -> Any:
        """The serialised response."""

    async def trailing_metadata(self) -> Any:
        """Pairs of name and value."""

    def cancel(self) -> bool:
        """Cancel the call on the server too. Returns whether the call was in flight."""


class Channel(Protocol):
    """The part of `grpc.aio.Channel` that the bridge uses."""

    def unary_unary(self, method: str) -> Any:
        """A function of the serialised request, `timeout` in seconds and `metadata` that returns a ChannelCall."""


def open_channel(target: str) -> grpc.aio.Channel:
    """A channel that fails at once while the server is unreachable and reconnects within a second of its return."""
    return grpc.aio.insecure_channel(
        target,
        options=[
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1_000),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.dns_min_time_between_resolutions_ms", 1_000),  # A restarted container may have another address.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 16_384),
            ("grpc.enable_http_proxy", 0),
        ],
    )


class LazyChannel:
    """A Channel that opens on the event loop of its first call, so that an application can be made before there is a loop."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._channel: Any = None  # The stubs of grpcio lack calls in bytes.

    def unary_unary(self, method: str) -> Any:
        """See Channel."""
        return partial(self._call, method)

    def _call(self, method: str, request: bytes, **options: Any) -> ChannelCall:
        self._channel = self._channel or open_channel(self._target)
        call: ChannelCall = self._channel.unary_unary(method)(request, **options)
        return call


class Answer(NamedTuple):
    """The reply to a call."""

    message: bytes
    """The serialised response."""
    headers: tuple[tuple[bytes, bytes], ...]
    """The headers that name the model, in ASGI's form."""


Caller: TypeAlias = Callable[[bytes, float, str, VersionSelector], Awaitable[Answer]]
"""Sends a message to one method, with a timeout in seconds, a request id and the selected version.

Cancelling the task cancels the call. Raises grpc.aio.AioRpcError.
"""


def unary_caller(channel: Channel, method: Method) -> Caller:
    """A Caller that makes one call for each message."""
    start = channel.unary_unary(method.path)

    async def call(message: bytes, seconds: float, identity: str, selector: VersionSelector) -> Answer:
        started: ChannelCall = start(message, timeout=seconds, metadata=(("x-request-id", identity), *selector))
        try:
            answer = await started
        except asyncio.CancelledError:
            started.cancel()
            raise
        headers = model_headers(await started.trailing_metadata())
        return Answer(answer, tuple((name.encode(), value.encode()) for name, value in headers))

    return call


def model_headers(metadata: Iterable[tuple[str, Any]] | None) -> list[tuple[str, str]]:
    """The entries of a call's metadata that become headers of the response."""
    return [(key, value) for key, value in metadata or () if key in _MODEL_HEADERS]
