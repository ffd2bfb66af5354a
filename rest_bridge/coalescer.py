"""Requests that come in one turn of the loop, or wait while calls are out, go together.

A call of its own costs a request far more than its share of a batch: most of a unary call is the hop, not the model. What is
alone, and likely to stay so, is sent at once.
"""

import asyncio
from collections import deque

import grpc
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.rows.fast_bounds import FastBounds
from foretell_contract.rows.row_layout import RowLayout
from foretell_contract.rules.rules import VALID, Rules
from foretell_contract.service import Method
from foretell_lifecycle.lone_request import LoneRequestDetector
from foretell_lifecycle.request_id import request_id
from rest_bridge.caller import Answer, Caller
from rest_bridge.http.shared_timer import SharedTimer
from rest_bridge.http.version_selector import NOTHING, VersionSelector
from rest_bridge.json.repeated_items import RepeatedItems

MOST_ROWS = 512
"""Most requests that go together; the server's largest run of the model is above it."""

MOST_OUT = 2
"""Calls under way at once: while the server answers one, the next is gathered and sent."""

_NOT_EVERYBODYS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
"""Failures of a batch that one row may have caused: its rows are tried again one by one."""


class Row:
    """One request, from the moment it comes in until it has its answer."""

    __slots__ = ("alone", "answer", "choice", "end", "identity", "message")

    def __init__(self, message: bytes, end: float, identity: str, choice: VersionSelector, answer: asyncio.Future[Answer]) -> None:
        self.message = message
        self.end = end
        """When its caller stops caring, on the loop's clock."""
        self.identity = identity
        self.choice = choice
        self.answer = answer
        self.alone: asyncio.Task[None] | None = None
        """What sends it, where it goes alone."""


class Coalescer:
    """A Caller for a row method that has a batch method beside it. Use it on one event loop."""

    def __init__(self, unary: Caller, batch: Caller, batch_method: Method, rules: Rules) -> None:
        self._solitude = LoneRequestDetector()
        self._inside = 0
        self._unary = unary
        self._batch = batch
        self._request = RepeatedItems(batch_method.request, batch_method.input.fields[0])
        self._response = RepeatedItems(batch_method.response, batch_method.output.fields[0])
        self._rules = rules
        self._row = GetMessageClass(batch_method.features)
        self._layout = RowLayout.of(batch_method.features)
        self._bounds = FastBounds.of(batch_method.features, rules)
        self._rounds = SharedTimer(self._expire)
        self._waiting: deque[Row] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # Kept, because to ask for it costs a system call.
        self._out = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, message: bytes, seconds: float, identity: str, choice: VersionSelector = NOTHING) -> Answer:
        """See Caller.

        A row that the rules refuse goes alone: the server words its refusal, and no batch fails of it. Rows that choose differently
        never go together.
        """
        self._inside += 1
        try:
            if self._inside == 1 and self._solitude.likely:
                return await self._alone(message, seconds, identity, choice)
            if not self._is_fine(message):
                return await self._unary(message, seconds, identity, choice)
            return await self._in_company(message, seconds, identity, choice)
        finally:
            self._inside -= 1

    async def _alone(self, message: bytes, seconds: float, identity: str, choice: VersionSelector) -> Answer:
        try:
            return await self._unary(message, seconds, identity, choice)
        finally:
            self._solitude.note(self._inside == 1)

    async def _in_company(self, message: bytes, seconds: float, identity: str, choice: VersionSelector) -> Answer:
        loop = self._loop = self._loop or asyncio.get_running_loop()
        row = Row(message, loop.time() + seconds, identity, choice, loop.create_future())
        if not self._waiting and self._out < MOST_OUT:
            loop.call_soon(loop.call_soon, self._send_waiting)  # The next turn reads what came in during this one.
        self._waiting.append(row)
        self._rounds.enter(row, loop)
        try:
            return await row.answer
        except asyncio.CancelledError:
            if row.alone is not None:
                row.alone.cancel()
            raise
        finally:
            self._rounds.leave(row)

    def _expire(self, row: Row) -> None:
        if _left(row.end) <= 0:
            _settle(row, grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata()))

    def _is_fine(self, message: bytes) -> bool:
        if self._layout is not None and self._bounds is not None:
            row = self._layout.row(message)
            if row is not None and self._bounds.accepts_row(row):
                return True
        return self._rules.validate(self._row.FromString(message), None, 1) is VALID

    def _send_waiting(self) -> None:
        """Send what waits, if a call may go out."""
        while self._waiting and self._out < MOST_OUT:
            rows: list[Row] = []
            choice = self._waiting[0].choice
            while self._waiting and len(rows) < MOST_ROWS and self._waiting[0].choice == choice:
                row = self._waiting.popleft()
                if not row.answer.done():  # Else its caller is gone.
                    rows.append(row)
            if not rows:
                continue
            self._out += 1
            task = asyncio.create_task(self._send(rows))
            if len(rows) == 1:
                rows[0].alone = task
            self._tasks.add(task)  # The loop itself holds tasks weakly.
            task.add_done_callback(self._tasks.discard)

    async def _send(self, rows: list[Row]) -> None:
        self._solitude.note(len(rows) == 1)
        try:
            if len(rows) == 1:
                await self._send_alone(rows[0])
            else:
                await self._send_together(rows)
        except Exception as error:
            for row in rows:
                _settle(row, error)
        finally:
            self._out -= 1
            self._send_waiting()

    async def _send_together(self, rows: list[Row]) -> None:
        seconds = _left(max(row.end for row in rows))
        try:
            batch = self._request.join([row.message for row in rows])
            answer = await self._batch(batch, seconds, request_id(None), rows[0].choice)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _NOT_EVERYBODYS:
                raise
            await asyncio.gather(*map(self._send_alone, rows))
            return
        for row, message in list(zip(rows, self._response.split(answer.message), strict=True)):  # All answers, or none.
            _settle(row, Answer(message, answer.headers))

    async def _send_alone(self, row: Row) -> None:
        try:
            _settle(row, await self._unary(row.message, _left(row.end), row.identity, row.choice))
        except Exception as error:
            _settle(row, error)


def _left(end: float) -> float:
    return max(end - asyncio.get_running_loop().time(), 0.0)


def _settle(row: Row, outcome: Answer | Exception) -> None:
    if row.answer.done():
        return  # Its caller is gone.
    if isinstance(outcome, Answer):
        row.answer.set_result(outcome)
    else:
        row.answer.set_exception(outcome)
