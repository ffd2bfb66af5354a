"""Connections that send no proper request: bounded in size and time, refused in our own words."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from contract.contract import Contract
from rest_bridge import connection
from rest_bridge.app import create_app
from rest_bridge.server import Server
from rest_bridge.settings import BridgeSettings
from tests.rest_bridge.channels import FakeChannel

GOOD = b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n"


@asynccontextmanager
async def bridge(contract: Contract) -> AsyncIterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(create_app(contract, FakeChannel(lambda _: b""), BridgeSettings()), listener, 1.0)
    await server.start()
    yield listener.getsockname()
    await server.stop()


async def answer(address: tuple[str, int], *sent: bytes) -> bytes:
    """All that comes back until the bridge hangs up."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for part in sent:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def refusal(raw: bytes) -> tuple[int, str]:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"x-request-id: " in head
    assert b"connection: close" in head
    assert b"content-type: application/json" in head
    (problem,) = json.loads(body)["detail"]
    return int(head.split()[1]), problem["type"]


@pytest.mark.parametrize(
    "garbage", [b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_http_is_refused_as_everything_else(contract: Contract, garbage: bytes) -> None:
    async with bridge(contract) as address:
        assert refusal(await answer(address, garbage)) == (400, "malformed_request")


async def test_a_head_that_never_ends_is_cut_off(contract: Contract) -> None:
    async with bridge(contract) as address:
        flood = [b"GET / HTTP/1.1\r\n"] + [b"x-" + b"a" * 30_000 + b": 1\r\n"] * 40
        raw = await answer(address, *flood)
        assert not raw or refusal(raw) == (431, "head_too_large")
        assert (await answer(address, GOOD.replace(b"host", b"connection: close\r\nhost"))).startswith(b"HTTP/1.1 200")


async def test_a_head_that_does_not_arrive_is_given_up(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    async with bridge(contract) as address:
        assert refusal(await answer(address, b"GET / HTTP/1.1\r\nx-slow: ")) == (408, "head_too_slow")
        assert await answer(address) == b""  # one that says nothing at all


async def test_a_connection_that_was_given_time_keeps_it_between_requests(
    contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(3):
            writer.write(GOOD)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.15)  # longer than a head may take
        writer.close()
