"""The shell on grpcio's own completion queue: one thread takes events in, and answers when there are none left.

Rows that arrive while the queue is emptied go through the model together, and nothing is handed from thread to thread: that is most
of what a call costs elsewhere in grpcio. The queue (`grpc._cython.cygrpc`) is what grpcio's servers stand on, but it is private:
`loop_check` finds out whether it is here and works.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # private, so without types

from grpc_server.calls.handler import Handler
from grpc_server.calls.refusal import UnknownMethod
from grpc_server.transport import loop_calls
from grpc_server.transport.transport import Work

logger = logging.getLogger(__name__)

_DONE = cygrpc.CompletionType.operation_complete
_SHUT_DOWN = cygrpc.CompletionType.queue_shutdown

_NOW = 0.0
"""A deadline that has passed: look, but do not wait."""

_MOST_GATHERED = 256
"""Rows that are gathered at most while events keep coming: then the model runs, however many callers there are."""

_MOST_EVENTS = 4 * _MOST_GATHERED
"""Events for which rows wait at most: calls that bring none, because they are refused, could else hold them up for ever."""


class LoopTransport:
    """See Shell. Its calls run on a thread of its own, and on the same those of the shells beside it."""

    def __init__(self, options: Sequence[tuple[str, int]], first: "LoopTransport | None" = None) -> None:
        """`first` is the one beside which this is."""
        self._beside = first is not None
        self._queue: Any = cygrpc.CompletionQueue() if first is None else first._queue
        self._ended = threading.Event()
        self._server = cygrpc.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)
        self._handlers: dict[bytes, Handler] = {}
        self._thread: threading.Thread | None = None

    def beside(self, options: Sequence[tuple[str, int]]) -> "LoopTransport":
        """See Shell."""
        return LoopTransport(options, self)

    def add_port(self, target: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """See Shell."""
        if credentials is None:
            port = self._server.add_http2_port(target.encode())
        else:
            port = self._server.add_http2_port(target.encode(), credentials._credentials)  # type: ignore[attr-defined]
        if not port:
            raise RuntimeError(f"cannot listen on {target}")
        return int(port)

    async def start(self, handlers: Iterable[Handler], work: Work) -> None:
        """See Shell."""
        self.begin(handlers, work)

    async def stop(self, seconds: float) -> None:
        """See Shell."""
        await asyncio.to_thread(self.end, seconds)

    def begin(self, handlers: Iterable[Handler], work: Work) -> None:
        """What `start` does, without an event loop."""
        self._handlers = {handler.path.encode(): handler for handler in handlers}
        self._server.start()
        self._request_call()
        if not self._beside:
            self._thread = threading.Thread(target=self._run, args=(work,), name="loop", daemon=True)
            self._thread.start()

    def end(self, seconds: float) -> None:
        """What `stop` does, without an event loop."""
        if not self._handlers or self._ended.is_set():
            return
        self._server.shutdown(self._queue, self._shut_down)
        if not self._ended.wait(seconds):
            self._server.cancel_all_calls()
            self._ended.wait(seconds)
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, work: Work) -> None:
        """Handle events until the queue is shut down."""
        events = 0
        while True:
            waiting = work.waiting
            event = self._queue.poll(_NOW if waiting else None)
            if event.completion_type == _DONE:
                self._handle(event)
                events = events + 1 if waiting else 0
                if waiting < _MOST_GATHERED and events < _MOST_EVENTS:
                    continue
            elif event.completion_type == _SHUT_DOWN:
                return
            work.run_waiting()
            events = 0

    def _handle(self, event: Any) -> None:
        try:
            event.tag(event)
        except Exception:  # The loop must live on; the call that is dropped here ends CANCELLED.
            logger.exception("an event of the completion queue was not handled")

    def _request_call(self) -> None:
        with contextlib.suppress(ValueError):  # The server is being shut down.
            self._server.request_call(self._queue, self._queue, self._accept)

    def _accept(self, event: Any) -> None:
        if not event.success:
            return  # The server is stopping.
        self._request_call()
        handler = self._handlers.get(event.call_details.method)
        if handler is None:
            loop_calls.refuse(event, UnknownMethod("this server does not offer the method"))
        else:
            loop_calls.take(handler, event)

    def _shut_down(self, _event: Any) -> None:
        """All calls have ended."""
        self._ended.set()
        if not self._beside:
            self._queue.shutdown()
