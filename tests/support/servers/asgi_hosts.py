"""ASGI servers around the bridge's application: our own, uvicorn with either HTTP parser, hypercorn on HTTP/1.1 and HTTP/2."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import hypercorn.asyncio
import uvicorn
from hypercorn.config import Config

from rest_bridge.http.server import Server

Host = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]
"""Serves an application on a free port; a client of it. `root_path` is the prefix of a proxy in front."""


@asynccontextmanager
async def _client(address: tuple[str, int], **options: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """Connections wait in the backlog of the listener until the server accepts them."""
    async with httpx2.AsyncClient(base_url="http://{}:{}".format(*address), timeout=20, **options) as client:
        yield client


@asynccontextmanager
async def _own(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(app, [listener], 10.0)
        await server.start()
        try:
            async with _client(listener.getsockname()) as client:
                yield client
        finally:
            await server.stop()


def _uvicorn(parser: str) -> Host:
    @asynccontextmanager
    async def host(app: Any, root_path: str = "") -> AsyncIterator[httpx2.AsyncClient]:
        config = uvicorn.Config(app, http=parser, ws="none", log_config=None, root_path=root_path)  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            running = asyncio.create_task(server.serve([listener]))
            try:
                async with _client(listener.getsockname()) as client:
                    yield client
            finally:
                server.should_exit = True
                await running

    return host


def _hypercorn(**options: bool) -> Host:
    @asynccontextmanager
    async def host(app: Any, root_path: str = "") -> AsyncIterator[httpx2.AsyncClient]:
        stop = asyncio.Event()
        config = Config()
        config.errorlog, config.root_path = None, root_path
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        config.bind = [f"fd://{listener.detach()}"]  # It closes the file descriptor.
        running = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))
        try:
            async with _client(address, **options) as client:
                yield client
        finally:
            stop.set()
            await running

    return host


HOSTS: dict[str, Host] = {
    "own": _own,
    "uvicorn": _uvicorn("httptools"),
    "uvicorn-h11": _uvicorn("h11"),
    "hypercorn": _hypercorn(),
    "hypercorn-http2": _hypercorn(http1=False, http2=True),
}
