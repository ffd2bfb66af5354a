"""How a message gets to the model server and its answer back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from contract.service import Method
from rest_bridge.channel import Call, Channel

MODEL_HEADERS = ("model-name", "model-version")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and which model gave it."""

    message: Message
    headers: Mapping[str, str]


class Caller(Protocol):
    """Sends one message within so many seconds. Raises grpc.aio.AioRpcError; to cancel the task cancels the call."""

    async def __call__(self, message: Message, seconds: float, identity: str) -> Answer:
        """The answer to `message`, sent under the request id `identity`."""


class Unary:
    """One call for each message."""

    def __init__(self, channel: Channel, method: Method) -> None:
        self._call = channel.unary_unary(method.path)
        self._response = method.response

    async def __call__(self, message: Message, seconds: float, identity: str) -> Answer:
        """See Caller."""
        call: Call = self._call(message.SerializeToString(), timeout=seconds, metadata=(("x-request-id", identity),))
        try:
            answer = await call
        except asyncio.CancelledError:
            call.cancel()
            raise
        return Answer(self._response.FromString(answer), model_headers(await call.initial_metadata()))


def model_headers(metadata: Any) -> dict[str, str]:
    """The part of a call's metadata that callers of the bridge see."""
    return {key: value for key, value in metadata or () if key in MODEL_HEADERS}
