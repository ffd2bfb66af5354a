"""One gRPC call on grpcio's completion queue, from its acceptance to its status.

`start_server_batch` starts operations and names a function as their tag; the loop calls it with the event of their completion.
Replies may come from any thread.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # private, so without types

from grpc_server.calls.call import Metadata, read_call
from grpc_server.calls.handler import WINDOW, Answer, Handler, Kind, Last, Pending
from grpc_server.calls.refusal import MalformedMessage, Refusal, UnknownMethod
from grpc_server.calls.status import details_metadata

_OK = cygrpc.StatusCode.ok
_CODES = {code: code.value[0] for code in grpc.StatusCode}


def take(handler: Handler | None, event: Any) -> None:
    """Answer an accepted call, whose `event` completed `request_call`; without a handler, refuse it unread."""
    if handler is None:
        operations = _refuse(UnknownMethod("this server does not offer the method"), ())
        event.call.start_server_batch((*operations, cygrpc.ReceiveCloseOnServerOperation(0)), _ignore)
    elif handler.kind is Kind.UNARY:
        _UnaryCall(handler, event)
    else:
        _StreamCall(handler, event)


class _UnaryCall:
    """One request, one response."""

    __slots__ = ("_call", "_cancellable", "_core", "_ended", "_handler", "_pending")

    def __init__(self, handler: Handler, event: Any) -> None:
        self._handler = handler
        self._cancellable = handler.cancellable  # Read once: it decides which operations end the call.
        self._core = event.call
        self._call = read_call(event.invocation_metadata, event.call_details.deadline - time.time())
        self._pending: Pending | None = None
        self._ended = False
        self._core.start_server_batch((cygrpc.ReceiveMessageOperation(0),), self._received)

    def _received(self, event: Any) -> None:
        request = event.batch_operations[0].message()
        if request is None:  # The caller closed or cancelled the call, or the message is above the limit.
            self._reply(MalformedMessage("the call has no message"))
            return
        if self._cancellable:
            self._core.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(0),), self._closed)
        pending = self._handler.answer(request, self._call, self._reply)
        if self._cancellable and not self._ended:
            self._pending = pending

    def _reply(self, answer: Answer) -> None:
        metadata = self._handler.trailing_metadata(self._call)
        if isinstance(answer, Refusal):
            operations = _refuse(answer, metadata)
        else:
            operations = (
                cygrpc.SendInitialMetadataOperation((), 0),
                cygrpc.SendMessageOperation(answer, 0),
                cygrpc.SendStatusFromServerOperation(metadata, _OK, b"", 0),
            )
        if not self._cancellable:
            operations = (*operations, cygrpc.ReceiveCloseOnServerOperation(0))
        self._core.start_server_batch(operations, _ignore)
        self._ended = True
        self._pending = None  # Breaks a reference cycle, which would hold the call until the garbage collector runs.

    def _closed(self, event: Any) -> None:
        if event.batch_operations[0].cancelled() and self._pending is not None:
            self._pending.cancel()


@dataclass(slots=True, eq=False)
class _Slot:
    """The place of one answer in the order of a stream."""

    answer: Answer | None = None
    pending: Pending | None = None


class _StreamCall:
    """Responses in the order of their requests, one message at a time in each direction; for a watch, one request."""

    def __init__(self, handler: Handler, event: Any) -> None:
        self._handler = handler
        self._core = event.call
        self._call = read_call(event.invocation_metadata, event.call_details.deadline - time.time())
        self._lock = threading.RLock()
        self._slots: deque[_Slot] = deque()
        self._index = 0
        self._sending = self._receiving = self._half_closed = self._ended = False
        self._watch: Pending | None = None
        self._core.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(0),), self._closed)
        self._receive()

    def _receive(self) -> None:
        self._receiving = True
        self._core.start_server_batch((cygrpc.ReceiveMessageOperation(0),), self._received)

    def _received(self, event: Any) -> None:
        request = event.batch_operations[0].message()
        self._receiving = False
        if self._handler.kind is Kind.WATCH and request is not None:
            self._watch = self._handler.answer(request, self._call, self._push)
            return
        if request is None:
            self._half_closed = True
        elif not self._ended:
            slot = _Slot()
            self._slots.append(slot)
            pending = self._handler.answer(request, self._call, partial(self._answered, slot))
            if slot.answer is None:
                slot.pending = pending
        self._proceed()

    def _push(self, answer: Answer) -> None:
        slot = _Slot(bytes(answer) if isinstance(answer, Last) else answer)
        with self._lock:
            self._slots.append(slot)
            self._half_closed = isinstance(answer, Last)
        self._proceed()

    def _answered(self, slot: _Slot, answer: Answer) -> None:
        slot.answer = answer
        slot.pending = None
        self._proceed()

    def _proceed(self) -> None:
        """Start what can start now: sending the next answer, receiving the next request, or ending the call."""
        with self._lock:
            if self._ended:
                return
            if self._slots and self._slots[0].answer is not None and not self._sending:
                self._send(self._slots.popleft().answer)
            elif not self._slots and self._half_closed and not self._sending:
                self._finish(cygrpc.SendStatusFromServerOperation(self._handler.trailing_metadata(self._call), _OK, b"", 0))
            reads = self._handler.kind is Kind.STREAM and not self._half_closed and not self._receiving
            if reads and not self._ended and len(self._slots) < WINDOW:
                self._receive()

    def _send(self, answer: Answer | None) -> None:
        if isinstance(answer, Refusal):
            refusal = answer.at(self._index) if self._handler.kind is Kind.STREAM else answer
            self._finish(_refusal_status(refusal, self._handler.trailing_metadata(self._call)))
            return
        first = () if self._index else (cygrpc.SendInitialMetadataOperation((), 0),)
        self._index += 1
        self._sending = True
        self._core.start_server_batch((*first, cygrpc.SendMessageOperation(answer, 0)), self._sent)

    def _sent(self, _event: Any) -> None:
        self._sending = False
        self._proceed()

    def _finish(self, status: Any) -> None:
        first = () if self._index else (cygrpc.SendInitialMetadataOperation((), 0),)
        self._core.start_server_batch((*first, status), _ignore)
        self._drop()

    def _closed(self, _event: Any) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        """The call has ended, or the caller cancelled it: cancel its requests."""
        self._ended = True
        for pending in (self._watch, *(slot.pending for slot in self._slots)):
            if pending is not None:
                pending.cancel()
        self._slots.clear()
        self._call.end()


def _refuse(refusal: Refusal, metadata: Metadata) -> tuple[Any, ...]:
    """The operations that end a call of which nothing was sent yet."""
    return cygrpc.SendInitialMetadataOperation((), 0), _refusal_status(refusal, metadata)


def _refusal_status(refusal: Refusal, metadata: Metadata) -> Any:
    code = _CODES[refusal.code]
    return cygrpc.SendStatusFromServerOperation((*metadata, details_metadata(refusal)), code, refusal.message.encode(), 0)


def _ignore(_event: Any) -> None:
    """The tag of operations that end a call."""
