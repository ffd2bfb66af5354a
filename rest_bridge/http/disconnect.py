"""Noticing that a caller has hung up, at no cost to calls that are answered soon."""

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from rest_bridge.http.shared_timer import SharedTimer


class Disconnect:
    """Cancels what runs within its `with` block, and raises ClientDisconnect from it, once the caller is gone.

    Nobody listens for that before a call has waited for a round or two.
    """

    __slots__ = ("_gone", "_listener", "_loop", "_receive", "_rounds", "_seen", "_task")

    def __init__(self, receive: Receive, rounds: "SharedTimer[Disconnect]", loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._rounds = rounds
        self._loop = loop
        self._listener: asyncio.Task[None] | None = None
        self._seen = self._gone = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task(self._loop)
        self._rounds.enter(self, self._loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._rounds.leave(self)
        if self._listener is not None:
            self._listener.cancel()
        if self._gone and kind is asyncio.CancelledError and self._task is not None and not self._task.uncancel():
            raise ClientDisconnect

    def look(self) -> None:
        """Listen from the second look on."""
        if self._seen and self._listener is None:
            self._listener = self._loop.create_task(self._listen())
        self._seen = True

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._task is not None:
            self._task.cancel()
