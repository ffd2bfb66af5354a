"""Looking in on what waits: one timer for all, because a timer each costs as much as the rest of a wait."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

SECONDS = 0.02
"""From one round to the next."""

T = TypeVar("T")


class SharedTimer(Generic[T]):
    """Visits everything in `waiting`, again and again, while there is anything. Use it on one event loop."""

    def __init__(self, visit: Callable[[T], None]) -> None:
        self._visit = visit
        self._waiting: set[T] = set()
        self._walking = False

    def enter(self, one: T, loop: asyncio.AbstractEventLoop) -> None:
        """Visit this one from now on."""
        self._waiting.add(one)
        if not self._walking:
            self._walking = True
            loop.call_later(SECONDS, self._walk, loop)

    def leave(self, one: T) -> None:
        """Visit it no more."""
        self._waiting.discard(one)

    def _walk(self, loop: asyncio.AbstractEventLoop) -> None:
        for one in tuple(self._waiting):
            self._visit(one)
        self._walking = bool(self._waiting)
        if self._walking:
            loop.call_later(SECONDS, self._walk, loop)
