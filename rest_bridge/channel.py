"""The channel to the model server, and the calls that the bridge makes on it, with serialised messages."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import grpc

from foretell_contract.service import Method
from rest_bridge.http.request_headers import NO_SELECTOR, VersionSelector

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


class Answer(NamedTuple):
    """The reply to a call."""

    message: bytes
    """The serialised response."""
    headers: tuple[tuple[bytes, bytes], ...]
    """The headers that name the model, in ASGI's form."""


class Caller(Protocol):
    """Calls one method. Cancelling the task cancels the call."""

    async def __call__(self, message: bytes, seconds: float, identity: str, selector: VersionSelector = NO_SELECTOR) -> Answer:
        """The answer of the selected version. `identity` is the request id. Raises grpc.aio.AioRpcError."""


class Unary:
    """A Caller that makes one call for each message."""

    def __init__(self, channel: Channel, method: Method) -> None:
        self._call = channel.unary_unary(method.path)

    async def __call__(self, message: bytes, seconds: float, identity: str, selector: VersionSelector = NO_SELECTOR) -> Answer:
        """See Caller."""
        call: ChannelCall = self._call(message, timeout=seconds, metadata=(("x-request-id", identity), *selector))
        try:
            answer = await call
        except asyncio.CancelledError:
            call.cancel()
            raise
        headers = model_headers(await call.trailing_metadata())
        return Answer(answer, tuple((name.encode(), value.encode()) for name, value in headers))


def model_headers(metadata: Iterable[tuple[str, Any]] | None) -> list[tuple[str, str]]:
    """The entries of a call's metadata that become headers of the response."""
    return [(key, value) for key, value in metadata or () if key in _MODEL_HEADERS]
