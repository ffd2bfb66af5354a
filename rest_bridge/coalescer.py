"""Sends row requests that arrive together, or wait while calls are in flight, as one batch call.

Most of the cost of a unary call is the hop, not the model: a row costs far less in a batch. A request that is likely to be alone is
sent at once.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import grpc
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.rows.fast_bounds import FastBounds
from foretell_contract.rows.row_layout import RowLayout
from foretell_contract.rows.wire import DELIMITED, tag, varint
from foretell_contract.rules.rules import VALID, Rules
from foretell_contract.service import Method
from foretell_lifecycle.lone_request import LoneRequestDetector
from foretell_lifecycle.request_id import request_id
from rest_bridge.channel import Answer, Caller
from rest_bridge.http.request_headers import VersionSelector
from rest_bridge.http.shared_timer import SharedTimer

MAX_ROWS = 512
"""Most requests in one batch; below the rows that the server gives to the model at once."""

MAX_CALLS = 2
"""Most calls in flight: while the server answers one, the next is collected and sent."""

_MAYBE_ONE_ROW = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)
"""Statuses of a batch that one row may have caused: its rows are sent again one by one."""


@dataclass(slots=True, eq=False)
class QueuedRow:
    """One request, from its arrival to its answer."""

    message: bytes
    deadline: float
    """On the loop's clock."""
    identity: str
    selector: VersionSelector
    answer: asyncio.Future[Answer]
    task: asyncio.Task[None] | None = None
    """The task that sends this row alone, if it is sent alone."""


class Coalescer:
    """The Caller of a row method whose service has a batch method as well. Use it on one event loop."""

    def __init__(self, unary: Caller, batch: Caller, batch_method: Method, rules: Rules) -> None:
        self.lone_requests = LoneRequestDetector()
        self._pending = 0
        self._unary = unary
        self._batch = batch
        self._rows = batch_method.input.fields[0]
        self._answers = batch_method.output.fields[0]
        self._response = batch_method.response
        self._answer_layout = RowLayout.of(batch_method.answer, integers=True)
        self._rules = rules
        self._row = GetMessageClass(batch_method.features)
        self._layout = RowLayout.of(batch_method.features)
        self._bounds = FastBounds.of(batch_method.features, rules)
        self._deadlines = SharedTimer(self._check_deadline)
        self._queue: deque[QueuedRow] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # Cached: get_running_loop costs a system call.
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, message: bytes, seconds: float, identity: str, selector: VersionSelector) -> Answer:
        """See Caller.

        A row that breaks a rule is sent alone: the server words its refusal, and no batch fails because of it. Rows with different
        selectors never share a batch.
        """
        self._pending += 1
        at_once = self._pending == 1 and self.lone_requests.likely
        try:
            if at_once or not self._is_valid(message):
                return await self._unary(message, seconds, identity, selector)
            return await self._call_from_queue(message, seconds, identity, selector)
        finally:
            if at_once:
                self.lone_requests.note(self._pending == 1)
            self._pending -= 1

    async def _call_from_queue(self, message: bytes, seconds: float, identity: str, selector: VersionSelector) -> Answer:
        loop = self._loop = self._loop or asyncio.get_running_loop()
        row = QueuedRow(message, loop.time() + seconds, identity, selector, loop.create_future())
        if not self._queue and self._in_flight < MAX_CALLS:
            loop.call_soon(loop.call_soon, self._send_queue)  # Two turns later: the next turn reads what arrived during this one.
        self._queue.append(row)
        self._deadlines.add(row, loop)
        try:
            return await row.answer
        except asyncio.CancelledError:
            if row.task is not None:
                row.task.cancel()
            raise
        finally:
            self._deadlines.remove(row)

    def _check_deadline(self, row: QueuedRow) -> None:
        if _seconds_to(row.deadline) <= 0:
            _settle(row, grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata()))

    def _is_valid(self, message: bytes) -> bool:
        if self._layout is not None and self._bounds is not None:
            row = self._layout.row(message)
            if row is not None and self._bounds.accepts_row(row):
                return True
        return self._rules.validate(self._row.FromString(message), None, 1) is VALID

    def _send_queue(self) -> None:
        while self._queue and self._in_flight < MAX_CALLS:
            rows = self._next_batch()
            if not rows:
                continue
            self._in_flight += 1
            task = asyncio.create_task(self._send(rows))
            if len(rows) == 1:
                rows[0].task = task
            self._tasks.add(task)  # The loop holds tasks weakly.
            task.add_done_callback(self._tasks.discard)

    def _next_batch(self) -> list[QueuedRow]:
        rows: list[QueuedRow] = []
        selector = self._queue[0].selector
        while self._queue and len(rows) < MAX_ROWS and self._queue[0].selector == selector:
            row = self._queue.popleft()
            if not row.answer.done():  # It is done if the caller has left or its deadline has passed.
                rows.append(row)
        return rows

    async def _send(self, rows: list[QueuedRow]) -> None:
        self.lone_requests.note(len(rows) == 1)
        try:
            if len(rows) == 1:
                await self._send_row(rows[0])
            else:
                await self._send_batch(rows)
        except Exception as error:
            for row in rows:
                _settle(row, error)
        finally:
            self._in_flight -= 1
            self._send_queue()

    async def _send_batch(self, rows: list[QueuedRow]) -> None:
        seconds = _seconds_to(max(row.deadline for row in rows))
        try:
            answer = await self._batch(_join(self._rows.number, rows), seconds, request_id(None), rows[0].selector)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _MAYBE_ONE_ROW:
                raise
            await asyncio.gather(*map(self._send_row, rows))
            return
        # The list is complete before the first row is settled: a batch with a wrong number of answers fails as a whole.
        for row, message in list(zip(rows, self._split(answer.message), strict=True)):
            _settle(row, Answer(message, answer.headers))

    def _split(self, batch: bytes) -> list[bytes]:
        """The serialised answers of a serialised batch, parsed only if it is not canonical. Raises DecodeError."""
        split = self._answer_layout.split(batch, self._answers) if self._answer_layout is not None else None
        if split is None:
            answers = getattr(self._response.FromString(batch), self._answers.name)
            split = [answer.SerializeToString() for answer in answers]
        return split

    async def _send_row(self, row: QueuedRow) -> None:
        try:
            _settle(row, await self._unary(row.message, _seconds_to(row.deadline), row.identity, row.selector))
        except Exception as error:
            _settle(row, error)


def _join(number: int, rows: Iterable[QueuedRow]) -> bytes:
    """The serialised batch, whose field `number` repeats the rows."""
    return b"".join([part for row in rows for part in (_head(number, len(row.message)), row.message)])


@lru_cache(maxsize=1024)
def _head(number: int, length: int) -> bytes:
    return tag(number, DELIMITED) + varint(length)


def _seconds_to(deadline: float) -> float:
    return max(deadline - asyncio.get_running_loop().time(), 0.0)


def _settle(row: QueuedRow, outcome: Answer | Exception) -> None:
    if row.answer.done():
        return
    if isinstance(outcome, Answer):
        row.answer.set_result(outcome)
    else:
        row.answer.set_exception(outcome)
