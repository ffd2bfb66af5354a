"""The end of a connection: the drain of the server, lost and reset connections."""

import asyncio
import gc
import json
import socket
import struct
import weakref
from contextlib import ExitStack

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from foretell_contract.contract import Contract
from rest_bridge.http.server import Server
from tests.support.servers.endpoint import answered
from tests.support.servers.fake_channel import HANGS, FakeChannel
from tests.support.servers.http_connections import GET, POST, check_prediction, read_response, serving


async def test_stop_answers_the_call_under_way(contract: Contract) -> None:
    channel, called, go = FakeChannel(lambda _: answered(contract)), asyncio.Event(), asyncio.Event()
    channel.hold = called, go
    async with serving(contract, channel) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST)
        await called.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        go.set()
        assert b"connection: close" in check_prediction(await read_response(reader))
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await stopping


async def test_stop_answers_unaccepted_connections(contract: Contract) -> None:
    async with serving(contract, FakeChannel(lambda _: answered(contract))) as (server, address):
        with ExitStack() as clients:  # The loop does not run meanwhile, so it accepts none.
            sockets = [clients.enter_context(socket.create_connection(address)) for _ in range(5)]
            for client in sockets:
                client.sendall(POST)
                client.setblocking(False)
            await server.stop()
            for client in sockets:
                raw = client.recv(65_536)
                assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b"connection: close" in raw
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


LARGE = {"detail": "a" * 8_000_000}


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """An application with one large response."""
    await JSONResponse(LARGE)(scope, receive, send)


async def test_stop_waits_for_slow_readers() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(large, [listener], 60.0)
    await server.start()
    reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
    writer.write(GET)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    stopping = asyncio.create_task(server.stop())
    await asyncio.wait({stopping}, timeout=1.5)  # uvicorn would give the answer a second.
    assert not stopping.done()
    assert json.loads(await reader.read()) == LARGE
    await stopping
    writer.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel does not end such connections")
async def test_stop_gives_up_on_unread_responses() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(large, [listener], 60.0, unread_seconds=0.1)
    await server.start()
    reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
    writer.write(GET)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await asyncio.wait_for(server.stop(), 20)  # It waits for every response to be sent.
    writer.transport.abort()


async def test_closed_connection_cancels_the_call(contract: Contract) -> None:
    channel = FakeChannel(lambda _: HANGS)
    async with serving(contract, channel) as (_, address):
        _, writer = await asyncio.open_connection(*address)
        writer.write(POST)
        await writer.drain()
        writer.close()
        await asyncio.wait_for(channel.cancelled.wait(), 20)


async def test_reset_connection_leaves_no_timer(contract: Contract) -> None:
    """A timer would hold the connection until the keep-alive timeout of 5 s."""
    async with serving(contract, FakeChannel(lambda _: answered(contract))) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        await read_response(reader)
        (connection,) = map(weakref.ref, server.connections)
        client = writer.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets the connection.
        writer.transport.abort()
        while server.connections:  # noqa: ASYNC110  # uvicorn offers no event
            await asyncio.sleep(0)
        gc.collect()
        assert connection() is None
