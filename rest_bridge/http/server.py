"""uvicorn around the application, with a drain that loses no request."""

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any, cast

import uvicorn

from foretell_lifecycle.platform import close_when_unread
from rest_bridge.http.guard import Guard
from rest_bridge.http.protocol_check import Protocol, usable_protocol

_POLL = 0.02
GRACE_SECONDS = 0.25
"""How long keep-alive clients may still send one more request; its response carries `Connection: close`."""

UNREAD_SECONDS = 30.0
"""Longest time for which a client may take no byte of a response. The kernel then ends the connection (Linux only)."""


class Server:
    """One HTTP server on its listening sockets. Use it on one event loop.

    `protocol` replaces our Connection, for tests.
    """

    def __init__(
        self,
        app: Guard,
        listeners: Sequence[socket.socket],
        drain_seconds: float,
        encryption: ssl.SSLContext | None = None,
        *,
        protocol: Protocol | None = None,
        unread_seconds: float = UNREAD_SECONDS,
    ) -> None:
        self._guard = app
        self._listeners = list(listeners)
        for listener in listeners:
            close_when_unread(listener, unread_seconds)
        self._drain_seconds = drain_seconds
        self._encryption = encryption
        self._protocol = protocol
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                self._guard,
                loop="none",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                ssl_context_factory=None if encryption is None else lambda _config, _default: encryption,
            )
        )
        self._running: asyncio.Task[None] | None = None

    @property
    def connections(self) -> list[Any]:
        """The open connections, of the class in use."""
        return list(self._uvicorn.server_state.connections)

    async def start(self) -> None:
        """Accept and answer requests."""
        self._protocol = await usable_protocol(self._protocol)
        config = self._uvicorn.config
        config.http = self._protocol or "auto"
        # Our own drain comes before uvicorn's, which then only waits for the last bytes.
        config.timeout_graceful_shutdown = 1 if self._protocol else math.ceil(self._drain_seconds)
        self._running = asyncio.create_task(self._uvicorn.serve(self._listeners))
        while not self._uvicorn.started and not self._running.done():  # noqa: ASYNC110  # uvicorn offers a flag, no event
            await asyncio.sleep(_POLL)
        if self._running.done():
            await self._running

    async def stop(self) -> None:
        """Accept no new connection, answer all requests and close each connection behind its last response."""
        self._guard.draining = True
        if self._protocol is not None:
            await self._drain()
        self._uvicorn.should_exit = True
        if self._running is not None:
            await self._running

    async def _drain(self) -> None:
        await self._stop_listening()
        for connection in self.connections:
            connection.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                await asyncio.sleep(GRACE_SECONDS)
                while any(connection.unsent for connection in self.connections):  # noqa: ASYNC110  # likewise
                    await asyncio.sleep(_POLL)

    async def _stop_listening(self) -> None:
        """Close the listeners, but answer on the connections that the kernel has already established for them."""
        loop = asyncio.get_running_loop()
        established = [connection for listener in self._listeners for connection in _backlog(listener)]
        for server in self._uvicorn.servers:
            server.close()
        for connection in established:
            with contextlib.suppress(OSError):  # The client has closed it.
                await loop.connect_accepted_socket(self._last_connection, connection, ssl=self._encryption)

    def _last_connection(self) -> asyncio.Protocol:
        made = cast("Any", self._protocol)
        connection = made(self._uvicorn.config, self._uvicorn.server_state, self._uvicorn.lifespan.state)
        connection.draining = True
        return cast("asyncio.Protocol", connection)


def _backlog(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):  # The backlog is empty.
        while True:
            yield listener.accept()[0]


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the process handles its signals itself."""
        yield
