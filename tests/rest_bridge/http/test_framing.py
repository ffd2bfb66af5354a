"""Bounds on what surrounds a request: the size and the time of its head, the framing of its body."""

import asyncio

import pytest

from foretell_contract.contract import Contract
from rest_bridge.http.connection import Connection
from tests.support.servers.endpoint import answered
from tests.support.servers.fake_channel import FakeChannel
from tests.support.servers.http_connections import (
    BODY,
    CHUNKED,
    GET,
    HEAD,
    LAST_GET,
    POST,
    bridge,
    check_prediction,
    exchange,
    read_response,
    refusal,
    serving,
)


class Impatient(Connection):
    """A connection that waits 0.1 s for a head."""

    head_seconds = 0.1


async def time_out(address: tuple[str, int]) -> None:
    """Wait until a silent connection, opened now, is closed."""
    assert await exchange(address) == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    ],
)
async def test_garbage_is_refused_as_malformed(contract: Contract, garbage: bytes) -> None:
    async with bridge(contract) as address:
        assert refusal(await exchange(address, garbage)) == (400, "malformed_request")


async def test_endless_head_is_cut_off(contract: Contract) -> None:
    async with bridge(contract) as address:
        flood = [b"GET / HTTP/1.1\r\n"] + [b"x-" + b"a" * 30_000 + b": 1\r\n"] * 40
        raw = await exchange(address, *flood)
        assert not raw or refusal(raw) == (431, "head_too_large")
        assert (await exchange(address, LAST_GET)).startswith(b"HTTP/1.1 200")


LONG = HEAD + b"x-long: " + b"a" * 70_000 + b"\r\n\r\n" + BODY


@pytest.mark.parametrize(
    "parts",
    [[LONG], [LONG[:60_000], LONG[60_000:]], [LONG[:10], LONG[10:]], [LONG[:70_000]]],
    ids=["at-once", "late", "early", "without-end"],
)
async def test_large_head_is_refused_in_pieces(contract: Contract, parts: list[bytes]) -> None:
    async with bridge(contract) as address:
        assert refusal(await exchange(address, *parts)) == (431, "head_too_large")


@pytest.mark.parametrize("last", [LONG, HEAD + (b"x-long: " + b"a" * 30_000 + b"\r\n") * 4], ids=["ends", "does-not-end"])
async def test_large_head_waits_for_earlier_responses(contract: Contract, last: bytes) -> None:
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + POST + last)
        check_prediction(await read_response(reader))
        check_prediction(await read_response(reader))
        assert refusal(await asyncio.wait_for(reader.read(), 20)) == (431, "head_too_large")
        writer.close()


async def test_trailer_is_no_header(contract: Contract) -> None:
    channel = FakeChannel(lambda _: answered(contract))
    async with serving(contract, channel) as (_, address):
        last = CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        raw = await exchange(address, last + b"%x\r\n%b\r\n0\r\nmodel-version: 2\r\n\r\n" % (len(BODY), BODY))
    assert raw.startswith(b"HTTP/1.1 200 OK")
    assert channel.calls[0]["metadata"] == (("x-request-id", "mine"),)


@pytest.mark.parametrize("endless", [b"0\r\nx-long: ", b"1;"], ids=["trailer", "extension"])
async def test_endless_framing_is_cut_off(contract: Contract, endless: bytes) -> None:
    """The parser buffers it, and copies the buffer with each piece."""
    async with bridge(contract) as address:
        started = CHUNKED + b"%x\r\n%b\r\n" % (len(BODY), BODY) + endless
        raw = await exchange(address, started, *[b"a" * 999] * 1000)
        assert not raw or refusal(raw) == (431, "framing_too_large")
        assert (await exchange(address, LAST_GET)).startswith(b"HTTP/1.1 200")


async def test_chunks_of_one_byte_are_accepted(contract: Contract) -> None:
    chunks = [b"1\r\n%c\r\n" % byte for byte in BODY + b" " * 70_000]
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        for part in (CHUNKED, *(b"".join(chunks[i : i + 999]) for i in range(0, len(chunks), 999)), b"0\r\n\r\n"):
            writer.write(part)
            await writer.drain()
        check_prediction(await read_response(reader))
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_refused_body_is_skipped(contract: Contract, chunked: bool) -> None:
    """Its bytes are not counted as framing, so the next request is answered."""
    head, piece = (CHUNKED, b"3e8\r\n%b\r\n" % (b"a" * 1000)) if chunked else (HEAD, b"a" * 1000)
    head = head.replace(b"/predict", b"/nowhere").replace(b"content-length: %d" % len(BODY), b"content-length: 200000")
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(head if chunked else head + b"\r\n")
        assert (await read_response(reader))[0].startswith(b"HTTP/1.1 404")
        for _ in range(200):
            writer.write(piece)
            await writer.drain()
        writer.write((b"0\r\n\r\n" if chunked else b"") + POST)
        check_prediction(await read_response(reader))
        writer.close()


@pytest.mark.parametrize("rest", [b"\r\n", b"a"], ids=["blank-line", "body"])
async def test_connection_without_next_request_is_closed(contract: Contract, rest: bytes) -> None:
    async with bridge(contract, protocol=Impatient) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET if rest == b"\r\n" else GET.replace(b"host", b"content-length: 2\r\nhost"))
        await read_response(reader)
        writer.write(rest)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_body_bytes_do_not_count_as_head(contract: Contract) -> None:
    large = POST.replace(b"content-length: %d" % len(BODY), b"content-length: %d" % (len(BODY) + 70_000)) + b" " * 70_000
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(large + POST[:40])
        check_prediction(await read_response(reader))
        writer.write(POST[40:])
        check_prediction(await read_response(reader))
        writer.close()


async def test_slow_head_is_refused(contract: Contract) -> None:
    async with bridge(contract, protocol=Impatient) as address:
        assert refusal(await exchange(address, b"GET / HTTP/1.1\r\nx-slow: ")) == (408, "head_too_slow")
        await time_out(address)


async def test_unread_head_is_not_slow(contract: Contract) -> None:
    channel, called, go = FakeChannel(lambda _: answered(contract)), asyncio.Event(), asyncio.Event()
    channel.hold = called, go
    async with serving(contract, channel, protocol=Impatient) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + POST + POST[:40])
        await called.wait()
        writer.write(POST[40:])
        await time_out(address)
        go.set()
        for _ in range(3):
            check_prediction(await read_response(reader))
        writer.close()


async def test_head_timer_stops_between_requests(contract: Contract) -> None:
    async with bridge(contract, protocol=Impatient) as address:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(3):
            writer.write(GET)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            await time_out(address)
        writer.close()
