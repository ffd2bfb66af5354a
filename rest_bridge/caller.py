"""How a message gets to the model server and its answer back, as bytes."""

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from foretell_contract.service import Method
from rest_bridge.channel import Channel, ChannelCall
from rest_bridge.http.version_selector import NOTHING, VersionSelector

MODEL_HEADERS = ("model-name", "model-version", "model-generation")


class Answer(NamedTuple):
    """A response, and which model gave it."""

    message: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    """As ASGI takes them."""


class Caller(Protocol):
    """Sends one message within so many seconds. Raises grpc.aio.AioRpcError; to cancel the task cancels the call."""

    async def __call__(self, message: bytes, seconds: float, identity: str, choice: VersionSelector = NOTHING) -> Answer:
        """The answer to `message`, sent under the request id `identity`, of the version that `choice` names."""


class Unary:
    """One call for each message."""

    def __init__(self, channel: Channel, method: Method) -> None:
        self._call = channel.unary_unary(method.path)

    async def __call__(self, message: bytes, seconds: float, identity: str, choice: VersionSelector = NOTHING) -> Answer:
        """See Caller."""
        call: ChannelCall = self._call(message, timeout=seconds, metadata=(("x-request-id", identity), *choice))
        try:
            answer = await call
        except asyncio.CancelledError:
            call.cancel()
            raise
        return Answer(answer, _encoded(tuple(model_headers(await call.trailing_metadata()))))


def model_headers(metadata: Iterable[tuple[str, Any]] | None) -> list[tuple[str, str]]:
    """The part of a call's metadata that callers of the bridge see."""
    return [(key, value) for key, value in metadata or () if key in MODEL_HEADERS]


@lru_cache(256)  # Few versions answer, each very often.
def _encoded(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.encode()) for name, value in headers)
