"""Calls to the model server, with serialised messages."""

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from foretell_contract.service import Method
from rest_bridge.channel import Channel, ChannelCall
from rest_bridge.http.request_headers import NO_SELECTOR, VersionSelector

_MODEL_HEADERS = ("model-name", "model-version", "model-generation")


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
        return Answer(answer, _encoded(tuple(model_headers(await call.trailing_metadata()))))


def model_headers(metadata: Iterable[tuple[str, Any]] | None) -> list[tuple[str, str]]:
    """The entries of a call's metadata that become headers of the response."""
    return [(key, value) for key, value in metadata or () if key in _MODEL_HEADERS]


@lru_cache(256)  # A server has few versions.
def _encoded(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.encode()) for name, value in headers)
