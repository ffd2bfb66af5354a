"""uvicorn around the application, with a drain that loses nothing."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from foretell_lifecycle.platform import close_when_unread
from rest_bridge.http.connection import Connection
from rest_bridge.http.guard import Guard

_POLL = 0.02
_GRACE = 0.25
"""Seconds in which who has had an answer a moment ago sends the next request, whose answer closes the connection."""

UNREAD_SECONDS = 30.0
"""Longest time for which a caller may take nothing of an answer; the kernel then ends the connection, where it can (on Linux)."""


class Server:
    """One HTTP server on one listening socket. Use it on one event loop."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, drain_seconds: float, encryption: ssl.SSLContext | None = None
    ) -> None:
        self._guard = Guard(app)
        self._listener = listener
        close_when_unread(listener, UNREAD_SECONDS)
        self._drain_seconds = drain_seconds
        self._encryption = encryption
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                self._guard,
                loop="none",
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                ssl_context_factory=None if encryption is None else lambda _config, _default: encryption,
                timeout_graceful_shutdown=1,  # For answers on their way out; the drain before it is ours.
            )
        )
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Answer requests."""
        self._running = asyncio.create_task(self._uvicorn.serve([self._listener]))
        while not self._uvicorn.started and not self._running.done():  # noqa: ASYNC110  # uvicorn offers a flag, no event
            await asyncio.sleep(_POLL)
        if self._running.done():
            await self._running

    async def stop(self) -> None:
        """Take no new connection, answer what is under way and close each connection behind its answer."""
        self._guard.draining = True
        await self._stop_listening()
        for connection in self._connections():
            connection.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                await asyncio.sleep(_GRACE)
                while any(connection.owing for connection in self._connections()):  # noqa: ASYNC110  # likewise
                    await asyncio.sleep(_POLL)
        self._uvicorn.should_exit = True
        if self._running is not None:
            await self._running

    async def _stop_listening(self) -> None:
        """Who is connected by now gets an answer, though the connection waits to be accepted yet; who comes later is refused."""
        loop = asyncio.get_running_loop()
        waiting = list(self._waiting())
        for server in self._uvicorn.servers:
            server.close()
        for connection in waiting:
            with contextlib.suppress(OSError):  # The caller has gone.
                await loop.connect_accepted_socket(self._last_connection, connection, ssl=self._encryption)

    def _waiting(self) -> Iterator[socket.socket]:
        with contextlib.suppress(OSError):  # There are no more.
            while True:
                yield self._listener.accept()[0]

    def _last_connection(self) -> Connection:
        connection = Connection(self._uvicorn.config, self._uvicorn.server_state, self._uvicorn.lifespan.state)
        connection.draining = True
        return connection

    def _connections(self) -> list[Connection]:
        return [connection for connection in self._uvicorn.server_state.connections if isinstance(connection, Connection)]


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's business, not uvicorn's."""
        yield
