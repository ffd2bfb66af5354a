"""When inline models run on an event loop that also takes the calls in."""

import asyncio

from grpc_server.transport.transport import Work
from rest_bridge.lone_request import LoneRequestDetector


class InlineScheduler:
    """Runs a row at once while rows come one by one, and else when the loop has read what came in: then they go together.

    To wait for company costs a lone row three turns of the loop, and not to wait costs rows in company a run of the model each.
    Use it on one event loop.
    """

    def __init__(self, work: Work, loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self._solitude = LoneRequestDetector()
        self._looking = False
        """Whether a look at what waits is due."""
        self._ran = 0
        """Runs since the last look."""

    def run_soon(self) -> None:
        """Have run what may have come to wait."""
        if self._looking or not self._work.waiting:
            return
        self._looking = True
        if self._solitude.likely:
            self._ran = 1
            self._work.run_waiting()
            self._loop.call_soon(self._look)
        else:
            self._ran = 0
            self._loop.call_soon(self._loop.call_soon, self._look)  # The next turn reads what came in during this one.

    def _look(self) -> None:
        self._looking = False
        waiting = self._work.waiting
        self._solitude.note(self._ran + waiting <= 1)
        if waiting:
            self._work.run_waiting()
            self.run_soon()
