"""Notices that a client has disconnected, at no cost to calls that are answered soon."""

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from rest_bridge.http.shared_timer import SharedTimer


class Disconnect:
    """Cancels its `with` block and raises ClientDisconnect from it when the client disconnects.

    It listens for that from the second tick of the timer on.
    """

    __slots__ = ("_disconnected", "_listener", "_loop", "_receive", "_task", "_ticked", "_timer")

    def __init__(self, receive: Receive, timer: "SharedTimer[Disconnect]", loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._timer = timer
        self._loop = loop
        self._listener: asyncio.Task[None] | None = None
        self._ticked = self._disconnected = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task(self._loop)
        self._timer.add(self, self._loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.remove(self)
        if self._listener is not None:
            self._listener.cancel()
        if self._disconnected and kind is asyncio.CancelledError and self._task is not None and not self._task.uncancel():
            raise ClientDisconnect

    def tick(self) -> None:
        """Start to listen at the second tick."""
        if self._ticked and self._listener is None:
            self._listener = self._loop.create_task(self._listen())
        self._ticked = True

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnected = True
        if self._task is not None:
            self._task.cancel()
