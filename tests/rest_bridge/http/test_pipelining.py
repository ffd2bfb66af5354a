"""Requests sent without waiting: answered in order however they are cut, read ahead within bounds."""

import asyncio
import gc
import json

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from foretell_contract.contract import Contract
from rest_bridge.http.connection import PIECE
from tests.support.servers.http_connections import BODY, GET, HEAD, POST, bridge, check_prediction, exchange, read_response, turns


@pytest.mark.parametrize("parts", [[POST], [POST[:-5], POST[-5:]], [POST[:40], POST[40:-90], POST[-90:]]], ids=len)
async def test_request_may_arrive_in_pieces(contract: Contract, parts: list[bytes]) -> None:
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(2):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await turns()
            assert b"connection:" not in check_prediction(await read_response(reader))
        writer.close()


async def test_pipelined_requests_are_answered_in_order(contract: Contract) -> None:
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + GET + POST)
        check_prediction(await read_response(reader))
        assert json.loads((await read_response(reader))[1]) == {"status": "live"}
        check_prediction(await read_response(reader))
        writer.close()


@pytest.mark.parametrize("parts", [[3], [1, 2], [1] * 3], ids=str)
@pytest.mark.parametrize("cut", [0, 30, -20], ids=["whole", "in-head", "in-body"])
async def test_upgrade_is_ignored(contract: Contract, parts: list[int], cut: int) -> None:
    """Clients that prefer HTTP/2 offer it in their first request."""
    offer = POST.replace(
        b"host: test", b"host: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
    )
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        for count in parts:
            for part in (offer * count)[:cut] if cut else b"", (offer * count)[cut:]:
                writer.write(part)
                await writer.drain()
                await turns()
            for _ in range(count):
                check_prediction(await read_response(reader))
        writer.close()


@pytest.mark.slow
async def test_thousand_pipelined_requests_keep_their_order(contract: Contract) -> None:
    numbered = [POST.replace(b"mine", b"%d" % number) for number in range(1000)]
    large = BODY + b" " * 100_000
    numbered[500] = numbered[500].replace(BODY, large).replace(b"length: %d" % len(BODY), b"length: %d" % len(large))
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"".join(numbered))
        for number in range(1000):
            head, body = await read_response(reader)
            assert b"x-request-id: %d\r\n" % number in head
            assert json.loads(body)["virginica_probability"] == 0.75
        writer.close()


async def test_pipelined_requests_are_read_in_bounds(contract: Contract) -> None:
    """A request takes a hundred times as much memory as its bytes."""
    short = b"GET /x HTTP/1.1\r\n\r\n"
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(short * 50_000)
        for _ in range(3):
            await read_response(reader)
            cycles = [thing for thing in gc.get_objects() if isinstance(thing, RequestResponseCycle)]
            assert len(cycles) <= 2 * PIECE / len(short)
        writer.transport.abort()


@pytest.mark.parametrize(
    "last", [POST.replace(b"HTTP/1.1", b"HTTP/1.0"), POST.replace(b"host: test", b"host: test\r\nconnection: close")]
)
async def test_last_response_closes_the_connection(contract: Contract, last: bytes) -> None:
    async with bridge(contract) as address:
        head, _, body = (await exchange(address, last)).partition(b"\r\n\r\n")
        assert b"connection: close" in check_prediction((head + b"\r\n\r\n", body))


async def test_answered_request_needs_no_garbage_collection(contract: Contract) -> None:
    """A collection of thousands of requests would delay every caller."""
    gc.collect()
    gc.disable()
    try:
        async with bridge(contract) as address:
            raw = await exchange(address, POST * 20, HEAD + b"connection: close\r\n\r\n" + BODY)
            assert raw.count(b"HTTP/1.1 200 OK") == 21
            left = [thing for thing in gc.get_objects() if isinstance(thing, RequestResponseCycle)]
    finally:
        gc.enable()
    assert len(left) <= 1
