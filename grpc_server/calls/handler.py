"""The handler of one gRPC method: from a request's bytes to a response's bytes or a refusal, for any transport."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any, Protocol, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from foretell_contract.rows.unknown_fields import UnknownFields
from foretell_contract.rules.rules import Rules
from grpc_server.calls.call import Call, Metadata
from grpc_server.calls.refusal import MOST_VIOLATIONS, InvalidFeatures, MalformedMessage, Refusal, failure

logger = logging.getLogger(__name__)

WINDOW = 64
"""Messages of one stream that may wait for their answers at once."""

Answer: TypeAlias = bytes | Refusal
Reply: TypeAlias = Callable[[Answer], None]
"""Sends an answer to the caller; from any thread."""


class Last(bytes):
    """The last response of a watch."""


class Pending(Protocol):
    """A request whose answer is not sent yet."""

    def cancel(self) -> object:
        """Drop the request; `reply` may still be called."""


class Kind(Enum):
    """How many messages a method takes and sends."""

    UNARY = "unary"
    """One request, one response."""
    STREAM = "stream"
    """One response for each request, in order; the first refusal ends the call."""
    WATCH = "watch"
    """One request; responses until a refusal, a Last, or the caller's cancellation."""


@dataclass(slots=True)
class Handler:
    """The behaviour of one method."""

    path: str
    kind: Kind
    answer: Callable[[bytes, Call, Reply], Pending | None]
    """Answers one request. Must neither block nor raise; it may call `reply` before it returns."""
    cancellable: bool = False
    """Whether a transport listens for cancellation while a unary call waits. Only slow models need it; changes with the routes."""

    def trailing_metadata(self, call: Call) -> Metadata:
        """Which model replied, and the request id; the same for refusals."""
        # Not initial metadata: clients do not retry a call that has sent any, and it takes a quarter of a call on grpc.aio.
        return (*call.model, ("x-request-id", call.request_id))


def immediate(request_type: type[Message], respond: Callable[[Any], Message]) -> Callable[[bytes, Call, Reply], None]:
    """The `answer` of a handler that needs no model: `respond` takes the parsed request and may raise a Refusal."""

    def answer(request: bytes, call: Call, reply: Reply) -> None:
        try:
            outcome: Answer = respond(parse(request_type, request)).SerializeToString()
        except Refusal as refusal:
            outcome = refusal
        except Exception as error:
            outcome = failure(logger, f"answering {request_type.DESCRIPTOR.full_name}", call, error)
        reply(outcome)

    return answer


def parse(request_type: type[Message], request: bytes) -> Message:
    """The message in `request`. Raises MalformedMessage."""
    try:
        return request_type.FromString(request)
    except DecodeError:
        raise MalformedMessage(f"the request is not a {request_type.DESCRIPTOR.full_name} message") from None


def check(message: Message, rules: Rules, unknown_fields: UnknownFields, rows: FieldDescriptor | None = None) -> None:
    """Raise InvalidFeatures for broken rules and unknown fields. `rows` is the field that holds the rows of a batch."""
    verdict = rules.validate(message, rows, MOST_VIOLATIONS)
    if verdict.list_refused and rows is not None:
        message.ClearField(rows.name)  # A message holds millions: the search for unknown fields would take a second.
    violations = [*verdict.violations, *islice(unknown_fields.violations(message), MOST_VIOLATIONS)]
    if violations:
        raise InvalidFeatures(violations, verdict.unjudged_rows)
