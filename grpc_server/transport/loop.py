"""The transport on grpcio's own completion queue: one thread takes all events, and runs the models when the queue is empty.

Rows that arrive while the thread empties the queue share a run of the model, and no call passes from thread to thread, which is
most of a call's cost in grpcio's servers. The queue (`grpc._cython.cygrpc`) is below those servers but private: `loop_check` tests
it at each start.
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
from grpc_server.transport.loop_calls import take
from grpc_server.transport.transport import InlineModels

logger = logging.getLogger(__name__)

_DONE = cygrpc.CompletionType.operation_complete
_SHUT_DOWN = cygrpc.CompletionType.queue_shutdown

_MAX_ROWS = 256
"""Rows that wait at most while events arrive; then the model runs."""

_LOOKS = 3
"""Looks at the queue without an event after which it counts as empty, while rows wait. A look takes a microsecond and reads from
one connection only, whose calls the next look gives: after one look, 64 callers would share runs of five rows."""

_MAX_EVENTS = 4 * _MAX_ROWS
"""Events for which rows wait at most: refused calls, which add no rows, would else delay them without limit."""


class LoopTransport:
    """See Transport. Calls run on a thread of its own, or on that of `first`, whose sibling it is."""

    def __init__(self, options: Sequence[tuple[str, int]], first: "LoopTransport | None" = None) -> None:
        self._is_sibling = first is not None
        self._queue: Any = cygrpc.CompletionQueue() if first is None else first._queue
        self._ended = threading.Event()
        self._server = cygrpc.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)
        self._handlers: dict[bytes, Handler] = {}
        self._thread: threading.Thread | None = None

    def sibling(self, options: Sequence[tuple[str, int]]) -> "LoopTransport":
        """See Transport."""
        return LoopTransport(options, self)

    def add_port(self, target: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """See Transport."""
        if credentials is None:
            port = self._server.add_http2_port(target.encode())
        else:
            port = self._server.add_http2_port(target.encode(), credentials._credentials)  # type: ignore[attr-defined]
        if not port:
            raise RuntimeError(f"cannot listen on {target}")
        return int(port)

    async def start(self, handlers: Iterable[Handler], models: InlineModels) -> None:
        """See Transport."""
        self.open(handlers, models)

    async def stop(self, seconds: float) -> None:
        """See Transport."""
        await asyncio.to_thread(self.close, seconds)

    def open(self, handlers: Iterable[Handler], models: InlineModels) -> None:
        """`start` without an event loop."""
        self._handlers = {handler.path.encode(): handler for handler in handlers}
        self._server.start()
        self._request_call()
        if not self._is_sibling:
            self._thread = threading.Thread(target=self._run, args=(models,), name="loop", daemon=True)
            self._thread.start()

    def close(self, seconds: float) -> None:
        """`stop` without an event loop; blocks."""
        if not self._handlers or self._ended.is_set():
            return
        self._server.shutdown(self._queue, self._shut_down)
        if not self._ended.wait(seconds):
            self._server.cancel_all_calls()
            self._ended.wait(seconds)
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, models: InlineModels) -> None:
        """Handle events until the queue is shut down."""
        events = looks = 0
        while True:
            waiting = models.waiting
            event = self._queue.poll(0.0 if waiting else None)  # With a deadline in the past, it returns at once.
            if event.completion_type == _DONE:
                try:
                    event.tag(event)
                except Exception:  # The thread must live on; this call ends with CANCELLED.
                    logger.exception("an event of the completion queue failed; its call is dropped")
                events, looks = events + 1 if waiting else 0, 0
                if waiting < _MAX_ROWS and events < _MAX_EVENTS:
                    continue
            elif event.completion_type == _SHUT_DOWN:
                return
            elif (looks := looks + 1) < _LOOKS:
                continue
            models.run_waiting()
            events = looks = 0

    def _request_call(self) -> None:
        with contextlib.suppress(ValueError):  # The server is being shut down.
            self._server.request_call(self._queue, self._queue, self._accept)

    def _accept(self, event: Any) -> None:
        if not event.success:
            return  # The server is stopping.
        self._request_call()
        take(self._handlers.get(event.call_details.method), event)

    def _shut_down(self, _event: Any) -> None:
        """The tag of the server's shutdown, which completes when all calls have ended."""
        self._ended.set()
        if not self._is_sibling:
            self._queue.shutdown()
