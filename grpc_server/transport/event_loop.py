"""For transports and channels on an asyncio event loop: calls from other threads, and the schedule of inline models."""

import asyncio
import contextlib
from collections.abc import Callable
from threading import get_ident
from typing import Any

from foretell_lifecycle.lone_request import LoneRequestDetector
from grpc_server.transport.transport import InlineModels


class CallLoop:
    """The running event loop, which takes calls and runs inline models. Any thread may `run` a function there.

    While rows come one by one, each runs at once: waiting for others costs it three turns of the loop. Else rows run together once
    the loop has read what has arrived: without waiting each would cost a run of the model. (The loop transport decides by its own
    queue instead: it runs the models when that is empty.)
    """

    def __init__(self, models: InlineModels) -> None:
        self.loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._models = models
        self._lone = LoneRequestDetector()
        self._scheduled = False
        self._ran = 0

    def run(self, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function` on the loop's thread: now if this is it, else soon; not at all once the loop is closed."""
        if get_ident() == self._thread:
            function(argument)
            return
        with contextlib.suppress(RuntimeError):  # A model may reply after the drain has ended, when the loop is closed.
            self.loop.call_soon_threadsafe(function, argument)

    def run_models_soon(self) -> None:
        """Run the rows that a handler may have queued: now or in one of the next turns. Only on the loop's thread."""
        if self._scheduled or not self._models.waiting:
            return
        self._scheduled = True
        if self._lone.likely:
            self._ran = 1
            self._models.run_waiting()
            self.loop.call_soon(self._look)
        else:
            self._ran = 0
            self.loop.call_soon(self.loop.call_soon, self._look)  # The next turn reads what arrived during this one.

    def _look(self) -> None:
        self._scheduled = False
        waiting = self._models.waiting
        self._lone.note(self._ran + waiting <= 1)
        if waiting:
            self._models.run_waiting()
            self.run_models_soon()
