"""A bridge on a socket with a fake channel, and raw HTTP requests to it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from foretell_contract.contract import Contract
from rest_bridge.app import create_app
from rest_bridge.http.server import Server
from rest_bridge.settings import BridgeSettings
from tests.support.iris import EXAMPLE
from tests.support.servers.endpoint import answered
from tests.support.servers.fake_channel import FakeChannel

BODY = json.dumps(EXAMPLE).encode()
HEAD = b"POST /predict HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(BODY)
POST = HEAD + b"x-request-id: mine\r\n\r\n" + BODY
CHUNKED = HEAD.replace(b"content-length: %d" % len(BODY), b"transfer-encoding: chunked") + b"x-request-id: mine\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n"
LAST_GET = GET.replace(b"host", b"connection: close\r\nhost")


@asynccontextmanager
async def serving(contract: Contract, channel: FakeChannel, **options: Any) -> AsyncIterator[tuple[Server, tuple[str, int]]]:
    """The server and its address; `options` are Server's."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(create_app(contract, channel, BridgeSettings()), [listener], 10.0, **options)
    await server.start()
    yield server, listener.getsockname()
    await server.stop()


@asynccontextmanager
async def bridge(contract: Contract, **options: Any) -> AsyncIterator[tuple[str, int]]:
    """The address of a bridge that answers every call."""
    async with serving(contract, FakeChannel(lambda _: answered(contract)), **options) as (_, address):
        yield address


async def exchange(address: tuple[str, int], *parts: bytes) -> bytes:
    """All that the bridge sends until it closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def read_response(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of the next response."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    length = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head, await asyncio.wait_for(reader.readexactly(length), 20)


async def turns(count: int = 5) -> None:
    """Let the loop turn, so that data on its way is read by itself."""
    for _ in range(count):
        await asyncio.sleep(0)


def check_prediction(response: tuple[bytes, bytes]) -> bytes:
    """Assert that the response answers POST; return its head."""
    head, body = response
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body)["virginica_probability"] == 0.75
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:-2]]
    assert len(names) == len(set(names))
    for line in (b"content-type: application/json", b"x-content-type-options: nosniff", b"x-request-id: mine", b"model-name: iris"):
        assert line in head.split(b"\r\n")
    return head


def refusal(raw: bytes) -> tuple[int, str]:
    """The status and the type of the refusal that closes a connection."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"x-request-id: " in head
    assert b"connection: close" in head
    assert b"content-type: application/json" in head
    (problem,) = json.loads(body)["detail"]
    return int(head.split()[1]), problem["type"]
