"""One gRPC call on grpcio's completion queue, from its acceptance to its status.

Every operation that is started (`start_server_batch`) comes back later as an event whose tag is the function that takes it on. The
functions run on the loop; answers may come from any thread.
"""

import threading
import time
from collections import deque
from functools import partial
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # private, so without types

from foretell_lifecycle.request_id import request_id
from grpc_server.calls.call import CHOOSING, Call
from grpc_server.calls.handler import WINDOW, Answer, Handler, Kind, Last, Pending
from grpc_server.calls.refusal import MalformedMessage, Refusal
from grpc_server.calls.status import trailing

_OK = cygrpc.StatusCode.ok
_FOREVER = 1e9
"""Seconds from now; a deadline beyond is none."""


def take(handler: Handler, event: Any) -> None:
    """Answer the call that the event of a `request_call` brought."""
    (_UnaryCall if handler.kind is Kind.UNARY else _StreamCall)(handler, event)


def refuse(event: Any, refusal: Refusal) -> None:
    """End a call before its messages are looked at."""
    event.call.start_server_batch((*_refusal(refusal, ()), cygrpc.ReceiveCloseOnServerOperation(0)), _nothing_more)


class _UnaryCall:
    """One message in, one out."""

    __slots__ = ("_call", "_facts", "_handler", "_over", "_pending", "_waits")

    def __init__(self, handler: Handler, event: Any) -> None:
        self._handler = handler
        self._waits = handler.waits  # Once and for all: it decides which operations end the call.
        self._call = event.call
        self._facts = _facts(event)
        self._pending: Pending | None = None
        self._over = False
        self._call.start_server_batch((cygrpc.ReceiveMessageOperation(0),), self._received)

    def _received(self, event: Any) -> None:
        request = event.batch_operations[0].message()
        if request is None:  # The caller has closed or cancelled the call, or its message is above the limit.
            self._reply(MalformedMessage("the call has no message"))
            return
        if self._waits:
            self._call.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(0),), self._closed)
        pending = self._handler.answer(request, self._facts, self._reply)
        if self._waits and not self._over:
            self._pending = pending

    def _reply(self, answer: Answer) -> None:
        labels = self._handler.labels(self._facts)
        if isinstance(answer, Refusal):
            operations = _refusal(answer, labels)
        else:
            operations = (
                cygrpc.SendInitialMetadataOperation((), 0),
                cygrpc.SendMessageOperation(answer, 0),
                cygrpc.SendStatusFromServerOperation(labels, _OK, b"", 0),
            )
        if not self._waits:
            operations = (*operations, cygrpc.ReceiveCloseOnServerOperation(0))
        self._call.start_server_batch(operations, _nothing_more)
        self._over = True
        self._pending = None  # It holds this reply: the two would wait for the garbage collector together, and the call with them.

    def _closed(self, event: Any) -> None:
        if event.batch_operations[0].cancelled() and self._pending is not None:
            self._pending.cancel()


class _Slot:
    """The place of one answer in a stream."""

    __slots__ = ("answer", "pending")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.pending: Pending | None = None


class _StreamCall:
    """Messages in, answers out in the same order; one message in where the handler watches.

    gRPC takes one message at a time in each direction. At most WINDOW messages wait for their answers.
    """

    def __init__(self, handler: Handler, event: Any) -> None:
        self._handler = handler
        self._call = event.call
        self._facts = _facts(event)
        self._lock = threading.RLock()
        self._slots: deque[_Slot] = deque()
        self._index = 0
        self._sending = self._receiving = self._half_closed = self._over = False
        self._watch: Pending | None = None
        self._call.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(0),), self._closed)
        self._receive()

    def _receive(self) -> None:
        self._receiving = True
        self._call.start_server_batch((cygrpc.ReceiveMessageOperation(0),), self._received)

    def _received(self, event: Any) -> None:
        request = event.batch_operations[0].message()
        self._receiving = False
        if self._handler.kind is Kind.WATCH and request is not None:
            self._watch = self._handler.answer(request, self._facts, self._push)
            return
        if request is None:
            self._half_closed = True
        elif not self._over:
            slot = _Slot()
            self._slots.append(slot)
            pending = self._handler.answer(request, self._facts, partial(self._answered, slot))
            if slot.answer is None:
                slot.pending = pending
        self._proceed()

    def _push(self, answer: Answer) -> None:
        slot = _Slot()
        slot.answer = bytes(answer) if isinstance(answer, Last) else answer
        with self._lock:
            self._slots.append(slot)
            self._half_closed = isinstance(answer, Last)
        self._proceed()

    def _answered(self, slot: _Slot, answer: Answer) -> None:
        slot.answer = answer
        slot.pending = None
        self._proceed()

    def _proceed(self) -> None:
        """Start whatever may start now: the next answer, the next message, or the end."""
        with self._lock:
            if self._over:
                return
            if self._slots and self._slots[0].answer is not None and not self._sending:
                self._send(self._slots.popleft().answer)
            elif not self._slots and self._half_closed and not self._sending:
                self._finish(cygrpc.SendStatusFromServerOperation(self._handler.labels(self._facts), _OK, b"", 0))
            reads = self._handler.kind is Kind.STREAM and not self._half_closed and not self._receiving
            if reads and not self._over and len(self._slots) < WINDOW:
                self._receive()

    def _send(self, answer: Answer | None) -> None:
        if isinstance(answer, Refusal):
            refusal = answer.at(self._index) if self._handler.kind is Kind.STREAM else answer
            self._finish(_refused(refusal, self._handler.labels(self._facts)))
            return
        first = () if self._index else (cygrpc.SendInitialMetadataOperation((), 0),)
        self._index += 1
        self._sending = True
        self._call.start_server_batch((*first, cygrpc.SendMessageOperation(answer, 0)), self._sent)

    def _sent(self, _event: Any) -> None:
        self._sending = False
        self._proceed()

    def _finish(self, status: Any) -> None:
        first = () if self._index else (cygrpc.SendInitialMetadataOperation((), 0),)
        self._call.start_server_batch((*first, status), _nothing_more)
        self._drop()

    def _closed(self, _event: Any) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        """The call is over, or its caller gone: what waits is of no use."""
        self._over = True
        for pending in (self._watch, *(slot.pending for slot in self._slots)):
            if pending is not None:
                pending.cancel()
        self._slots.clear()
        self._facts.over()


def _facts(event: Any) -> Call:
    given, choice = None, None
    for name, value in event.invocation_metadata:
        if name == "x-request-id":
            given = value
        elif name in CHOOSING:
            choice = {name: value} | (choice or {})
    seconds = event.call_details.deadline - time.time()
    return Call(request_id(given), None if seconds > _FOREVER else time.monotonic() + seconds, choice)


def _refusal(refusal: Refusal, labels: tuple[tuple[str, str], ...]) -> tuple[Any, ...]:
    """The operations that end a call of which nothing was sent yet."""
    return cygrpc.SendInitialMetadataOperation((), 0), _refused(refusal, labels)


def _refused(refusal: Refusal, labels: tuple[tuple[str, str], ...]) -> Any:
    code = _CODES[refusal.code]
    return cygrpc.SendStatusFromServerOperation((*labels, trailing(refusal)), code, refusal.message.encode(), 0)


def _nothing_more(_event: Any) -> None:
    """The tag of operations that end a call."""


_CODES = {code: code.value[0] for code in grpc.StatusCode}
