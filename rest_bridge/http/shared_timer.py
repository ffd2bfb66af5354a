"""One timer for many waiting objects: a timer for each costs as much as the rest of its wait."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

SECONDS = 0.02
"""Time between two ticks."""

T = TypeVar("T")


class SharedTimer(Generic[T]):
    """Calls `visit` with each object at every tick, from `add` to `remove`. Use it on one event loop."""

    def __init__(self, visit: Callable[[T], None]) -> None:
        self._visit = visit
        self._waiting: set[T] = set()
        self._ticking = False

    def add(self, one: T, loop: asyncio.AbstractEventLoop) -> None:
        """Visit the object from the next tick on."""
        self._waiting.add(one)
        if not self._ticking:
            self._ticking = True
            loop.call_later(SECONDS, self._tick, loop)

    def remove(self, one: T) -> None:
        """Visit the object no more."""
        self._waiting.discard(one)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        for one in tuple(self._waiting):
            self._visit(one)
        self._ticking = bool(self._waiting)
        if self._ticking:
            loop.call_later(SECONDS, self._tick, loop)
