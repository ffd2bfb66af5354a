"""What a server answers on one path, whichever shell takes the calls."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeAlias

from google.protobuf.message import DecodeError, Message

from grpc_server.calls.call import Call, Facts
from grpc_server.calls.incident import failure
from grpc_server.calls.refusal import MalformedMessage, Refusal

logger = logging.getLogger(__name__)

WINDOW = 64
"""Messages of one stream that may wait for their answers at once."""

Answer: TypeAlias = bytes | Refusal
Reply: TypeAlias = Callable[[Answer], None]
"""Takes an answer, from any thread."""


class Last(bytes):
    """The last reply of a watch."""


class Pending(Protocol):
    """Work under way."""

    def cancel(self) -> None:
        """Nobody waits for it any more; the reply may stay out."""


class Kind(Enum):
    """How messages travel on a path."""

    UNARY = "unary"
    """One request, one reply."""
    STREAM = "stream"
    """A reply to each request, in their order; the first refusal ends the call."""
    WATCH = "watch"
    """One request; replies until a refusal, a Last, or the end of the work."""


@dataclass(slots=True)
class Handler:
    """The behaviour of one path."""

    path: str
    """Such as `/iris.v1.IrisService/Predict`."""
    kind: Kind
    answer: Callable[[bytes, Call, Reply], Pending | None]
    """Answers one request. Must not block and must not raise; the reply may come before it returns."""
    waits: bool = False
    """Whether an answer may take so long that a caller's farewell should be heard meanwhile. Changes with what answers."""

    def labels(self, call: Call) -> Facts:
        """The trailing metadata of an answer, be it a refusal.

        Not initial metadata: gRPC clients retry no call that has sent anything before its status, and in grpc.aio it would be an
        operation of its own, which costs a quarter of a call.
        """
        return (*call.facts, ("x-request-id", call.request_id))


def at_once(request_type: type[Message], respond: Callable[[Any], Message]) -> Callable[[bytes, Call, Reply], None]:
    """The `answer` of a handler that needs no model: `respond` takes the parsed request, and may raise a Refusal."""

    def answer(request: bytes, call: Call, reply: Reply) -> None:
        try:
            outcome: Answer = respond(parsed(request_type, request)).SerializeToString()
        except Refusal as refusal:
            outcome = refusal
        except Exception as error:
            outcome = failure(logger, f"an answer to {request_type.DESCRIPTOR.full_name}", call, error)
        reply(outcome)

    return answer


def parsed(request_type: type[Message], request: bytes) -> Message:
    """The message. Raises MalformedMessage."""
    try:
        return request_type.FromString(request)
    except DecodeError:
        raise MalformedMessage(f"the request is not a {request_type.DESCRIPTOR.full_name} message") from None
