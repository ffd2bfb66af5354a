"""Whether our Connection works on the installed uvicorn, whose protocol classes are private: tried with real requests."""

import asyncio
import contextlib
import logging
import socket
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from rest_bridge.http.body import WHOLE_ANSWER, WHOLE_BODY

logger = logging.getLogger(__name__)

Protocol = type[asyncio.Protocol]

_SECONDS = 5.0
"""Longest time for one connection of the check; each takes about a millisecond."""

_WHOLE = b"POST / HTTP/1.1\r\nhost: check\r\ncontent-length: 3\r\n\r\none"
_CHUNKED = b"POST / HTTP/1.1\r\nhost: check\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
_LAST = b"POST / HTTP/1.1\r\nhost: check\r\nconnection: close\r\ncontent-length: 5\r\n\r\n"
_TOO_LARGE = b"GET / HTTP/1.1\r\nhost: check\r\nconnection: close\r\nx-large: %b\r\n\r\n" % (b"a" * 70_000)


async def usable_protocol(protocol: Protocol | None = None) -> Protocol | None:
    """Our Connection, or `protocol`, if it works; else None, and one line in the log tells why."""
    try:
        from rest_bridge.http.connection import Connection

        await _check(protocol or Connection)
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        what = "uvicorn's own serves, which bounds no request's head"
        logger.warning("the bridge's HTTP connection does not work on uvicorn %s, so %s: %s", uvicorn.__version__, what, cause)
        return None
    return protocol or Connection


async def _check(protocol: Protocol) -> None:
    responses = await _exchange(protocol, _WHOLE + _CHUNKED + _LAST, b"three")
    bodies = [response.rpartition(b"\r\n\r\n")[2] for response in responses.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    refusal = await _exchange(protocol, _TOO_LARGE)
    if bodies != [b"one", b"two", b"three"] or not refusal.startswith(b"HTTP/1.1 431 "):
        raise RuntimeError("a request is answered wrongly")


async def _exchange(protocol: Protocol, *parts: bytes) -> bytes:
    """All that a connection with the echo application sends in return for these parts."""
    loop, errors = asyncio.get_running_loop(), list[Any]()
    made: Any = protocol
    config = uvicorn.Config(_echo, loop="none", http=protocol, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    ours, theirs = socket.socketpair()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: errors.append(context.get("exception") or context["message"]))
    try:
        await loop.connect_accepted_socket(lambda: made(config=config, server_state=ServerState(), app_state={}), theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        with contextlib.closing(writer):
            async with asyncio.timeout(_SECONDS):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                received = await reader.read()
    finally:
        loop.set_exception_handler(before)
    for error in errors:
        raise error if isinstance(error, Exception) else RuntimeError(error)
    return received


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body, by both ways that our Connection offers."""
    body, whole = scope.get(WHOLE_BODY), scope.pop(WHOLE_ANSWER, None)
    if body is None:
        body = (await receive())["body"]
    if whole is None or not whole([], body):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
