"""Requests that wait while a call is out go together in the next one.

A call of its own costs a request far more than its share of a batch: most of a unary call is the hop, not the model. Alone, a
request is sent at once; nothing waits for company.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message

from contract.rules import VALID, Rules
from contract.service import Method
from lifecycle.request_id import request_id
from rest_bridge.caller import Answer, Caller

MOST_ROWS = 512
"""Most requests that go together; the server's largest run of the model is above it."""

MOST_OUT = 2
"""Calls under way at once: while the server answers one, the next is gathered and sent."""

_NOT_EVERYBODYS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
"""Failures of a batch that one row may have caused: its rows are tried again one by one."""


@dataclass(slots=True, eq=False)
class _Row:
    message: Message
    end: float
    """When its caller stops caring, on the loop's clock."""
    identity: str
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Coalescer:
    """A Caller for a row method that has a batch method beside it. Use it on one event loop."""

    def __init__(self, unary: Caller, batch: Caller, batch_method: Method, rules: Rules) -> None:
        self._unary = unary
        self._batch = batch
        self._request = batch_method.request
        self._rows, self._answers = batch_method.input.fields[0].name, batch_method.output.fields[0].name
        self._rules = rules
        self._waiting: deque[_Row] = deque()
        self._out = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, message: Message, seconds: float, identity: str) -> Answer:
        """See Caller.

        A row that the rules refuse goes alone: the server words its refusal, and no batch fails of it.
        """
        clock = asyncio.get_running_loop().time
        if self._rules.judge(message, None, 1) is not VALID:
            return await self._unary(message, seconds, identity)
        if self._out < MOST_OUT:
            self._out += 1
            try:
                return await self._unary(message, seconds, identity)
            finally:
                self._returned()
        row = _Row(message, clock() + seconds, identity)
        self._waiting.append(row)
        try:
            async with asyncio.timeout_at(row.end):
                return await row.answer
        except TimeoutError:
            raise _too_late() from None

    def _returned(self) -> None:
        """A call came back: send what waits."""
        self._out -= 1
        rows: list[_Row] = []
        while self._waiting and len(rows) < MOST_ROWS:
            row = self._waiting.popleft()
            if not row.answer.done():  # Else its caller is gone.
                rows.append(row)
        if rows:
            self._out += 1
            task = asyncio.create_task(self._send(rows))
            self._tasks.add(task)  # The loop itself holds tasks weakly.
            task.add_done_callback(self._tasks.discard)

    async def _send(self, rows: list[_Row]) -> None:
        try:
            if len(rows) == 1:
                await self._send_alone(rows[0])
            else:
                await self._send_together(rows)
        finally:
            self._returned()

    async def _send_together(self, rows: list[_Row]) -> None:
        request = self._request(**{self._rows: [row.message for row in rows]})
        seconds = max(row.end for row in rows) - asyncio.get_running_loop().time()
        try:
            answer = await self._batch(request, max(seconds, 0.0), request_id(None))
        except grpc.aio.AioRpcError as error:
            if error.code() in _NOT_EVERYBODYS:
                await asyncio.gather(*map(self._send_alone, rows))
                return
            for row in rows:
                _settle(row, error)
            return
        for row, message in zip(rows, getattr(answer.message, self._answers), strict=True):
            _settle(row, Answer(message, answer.headers))

    async def _send_alone(self, row: _Row) -> None:
        seconds = row.end - asyncio.get_running_loop().time()
        try:
            _settle(row, await self._unary(row.message, max(seconds, 0.0), row.identity))
        except grpc.aio.AioRpcError as error:
            _settle(row, error)


def _settle(row: _Row, outcome: Answer | grpc.aio.AioRpcError) -> None:
    if row.answer.done():
        return  # Its caller is gone.
    if isinstance(outcome, Answer):
        row.answer.set_result(outcome)
    else:
        row.answer.set_exception(outcome)


def _too_late() -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata())
