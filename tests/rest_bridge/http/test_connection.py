"""Connections that send no proper request: bounded in size and time, refused in our own words."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from foretell_contract.contract import Contract
from rest_bridge.app import create_app
from rest_bridge.http import connection
from rest_bridge.http import server as bridge_server
from rest_bridge.http.server import Server
from rest_bridge.settings import BridgeSettings
from tests.support.iris import EXAMPLE
from tests.support.servers.endpoint import answered
from tests.support.servers.fake_channel import HANGS, FakeChannel

BODY = json.dumps(EXAMPLE).encode()
HEAD = b"POST /predict HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(BODY)
POST = HEAD + b"x-request-id: mine\r\n\r\n" + BODY
CHUNKED = HEAD.replace(b"content-length: %d" % len(BODY), b"transfer-encoding: chunked") + b"x-request-id: mine\r\n\r\n"
GOOD = b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n"


@asynccontextmanager
async def serving(contract: Contract, channel: FakeChannel) -> AsyncIterator[tuple[Server, tuple[str, int]]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(create_app(contract, channel, BridgeSettings()), listener, 10.0)
    await server.start()
    yield server, listener.getsockname()
    await server.stop()


@asynccontextmanager
async def bridge(contract: Contract) -> AsyncIterator[tuple[str, int]]:
    async with serving(contract, FakeChannel(lambda _: answered(contract))) as (_, address):
        yield address


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
    "garbage",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    ],
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


LONG = HEAD + b"x-long: " + b"a" * 70_000 + b"\r\n\r\n" + BODY


@pytest.mark.parametrize(
    "parts",
    [[LONG], [LONG[:60_000], LONG[60_000:]], [LONG[:10], LONG[10:]], [LONG[:70_000]]],
    ids=["at-once", "late", "early", "without-end"],
)
async def test_a_head_is_measured_however_it_arrives(contract: Contract, parts: list[bytes]) -> None:
    async with bridge(contract) as address:
        assert refusal(await answer(address, *parts)) == (431, "head_too_large")


@pytest.mark.parametrize("last", [LONG, HEAD + (b"x-long: " + b"a" * 30_000 + b"\r\n") * 4], ids=["ends", "does-not-end"])
async def test_a_head_that_is_too_large_is_refused_behind_the_answers_before_it(contract: Contract, last: bytes) -> None:
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + POST + last)
        sound(await one_answer(reader))
        sound(await one_answer(reader))
        assert refusal(await asyncio.wait_for(reader.read(), 20)) == (431, "head_too_large")
        writer.close()


async def test_what_comes_behind_a_body_is_no_header(contract: Contract) -> None:
    channel = FakeChannel(lambda _: answered(contract))
    async with serving(contract, channel) as (_, address):
        last = CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        raw = await answer(address, last + b"%x\r\n%b\r\n0\r\nmodel-version: 2\r\n\r\n" % (len(BODY), BODY))
    assert raw.startswith(b"HTTP/1.1 200 OK")
    assert channel.calls[0]["metadata"] == (("x-request-id", "mine"),)


@pytest.mark.parametrize("endless", [b"0\r\nx-long: ", b"1;"], ids=["trailer", "extension"])
async def test_what_comes_beside_a_body_is_cut_off(contract: Contract, endless: bytes) -> None:
    """The parser keeps it, and copies it each time more of it comes."""
    async with bridge(contract) as address:
        begun = CHUNKED + b"%x\r\n%b\r\n" % (len(BODY), BODY) + endless
        raw = await answer(address, begun, *[b"a" * 999] * 1000)
        assert not raw or refusal(raw) == (431, "framing_too_large")
        assert (await answer(address, GOOD.replace(b"host", b"connection: close\r\nhost"))).startswith(b"HTTP/1.1 200")


async def test_a_body_may_come_in_chunks_of_a_byte(contract: Contract) -> None:
    chunks = [b"1\r\n%c\r\n" % byte for byte in BODY + b" " * 70_000]
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        for part in (CHUNKED, *(b"".join(chunks[i : i + 999]) for i in range(0, len(chunks), 999)), b"0\r\n\r\n"):
            writer.write(part)
            await writer.drain()
        sound(await one_answer(reader))
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_comes_behind_its_refusal_is_no_framing(contract: Contract, chunked: bool) -> None:
    """Else the next request on the connection would be given the refusal of that."""
    head, piece = (CHUNKED, b"3e8\r\n%b\r\n" % (b"a" * 1000)) if chunked else (HEAD, b"a" * 1000)
    head = head.replace(b"/predict", b"/nowhere").replace(b"content-length: %d" % len(BODY), b"content-length: 200000")
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(head if chunked else head + b"\r\n")
        assert (await one_answer(reader))[0].startswith(b"HTTP/1.1 404")
        for _ in range(200):
            writer.write(piece)
            await writer.drain()
        writer.write((b"0\r\n\r\n" if chunked else b"") + POST)
        sound(await one_answer(reader))
        writer.close()


@pytest.mark.parametrize("rest", [b"\r\n", b"a"], ids=["blank-line", "body"])
async def test_a_connection_that_goes_on_with_no_request_is_given_up(
    contract: Contract, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GOOD if rest == b"\r\n" else GOOD.replace(b"host", b"content-length: 2\r\nhost"))
        await one_answer(reader)
        writer.write(rest)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_a_body_counts_for_no_head(contract: Contract) -> None:
    large = POST.replace(b"content-length: %d" % len(BODY), b"content-length: %d" % (len(BODY) + 70_000)) + b" " * 70_000
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(large + POST[:40])
        sound(await one_answer(reader))
        writer.write(POST[40:])
        sound(await one_answer(reader))
        writer.close()


async def test_a_head_that_does_not_arrive_is_given_up(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    async with bridge(contract) as address:
        assert refusal(await answer(address, b"GET / HTTP/1.1\r\nx-slow: ")) == (408, "head_too_slow")
        assert await answer(address) == b""  # one that says nothing at all


async def test_a_head_that_waits_to_be_read_is_not_slow(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    channel, called, go = FakeChannel(lambda _: answered(contract)), asyncio.Event(), asyncio.Event()
    channel.hold = called, go
    async with serving(contract, channel) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + POST + POST[:40])
        await called.wait()
        writer.write(POST[40:])
        await asyncio.sleep(0.15)  # longer than a head may take
        go.set()
        for _ in range(3):
            sound(await one_answer(reader))
        writer.close()


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


async def one_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of the next answer."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    length = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head, await asyncio.wait_for(reader.readexactly(length), 20)


def sound(answer: tuple[bytes, bytes]) -> bytes:
    """The head of the answer to POST."""
    head, body = answer
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body)["virginica_probability"] == 0.75
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:-2]]
    assert len(names) == len(set(names))
    for line in (b"content-type: application/json", b"x-content-type-options: nosniff", b"x-request-id: mine", b"model-name: iris"):
        assert line in head.split(b"\r\n")
    return head


@pytest.mark.parametrize("parts", [[POST], [POST[:-5], POST[-5:]], [POST[:40], POST[40:-90], POST[-90:]]], ids=len)
async def test_an_answer_is_the_same_however_its_request_arrives(contract: Contract, parts: list[bytes]) -> None:
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(2):
            for part in parts:
                writer.write(part)
                await writer.drain()
                for _ in range(5):
                    await asyncio.sleep(0)  # So that it is read by itself.
            assert b"connection:" not in sound(await one_answer(reader))
        writer.close()


async def test_requests_sent_without_waiting_are_answered_in_order(contract: Contract) -> None:
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + GOOD + POST)
        sound(await one_answer(reader))
        assert json.loads((await one_answer(reader))[1]) == {"status": "live"}
        sound(await one_answer(reader))
        writer.close()


@pytest.mark.parametrize("parts", [[3], [1, 2], [1] * 3], ids=str)
@pytest.mark.parametrize("cut", [0, 30, -20], ids=["whole", "in-head", "in-body"])
async def test_a_request_to_speak_another_protocol_is_answered_in_this_one(contract: Contract, parts: list[int], cut: int) -> None:
    """Clients that would rather speak HTTP/2 ask so in their first request."""
    wish = POST.replace(
        b"host: test", b"host: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
    )
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        for count in parts:
            for part in (wish * count)[:cut] if cut else b"", (wish * count)[cut:]:
                writer.write(part)
                await writer.drain()
                for _ in range(5):
                    await asyncio.sleep(0)  # So that it is read by itself.
            for _ in range(count):
                sound(await one_answer(reader))
        writer.close()


async def test_many_requests_sent_without_waiting_are_answered_in_order_however_they_are_cut(contract: Contract) -> None:
    numbered = [POST.replace(b"mine", b"%d" % number) for number in range(1000)]
    large = BODY + b" " * 100_000
    numbered[500] = numbered[500].replace(BODY, large).replace(b"length: %d" % len(BODY), b"length: %d" % len(large))
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"".join(numbered))
        for number in range(1000):
            head, body = await one_answer(reader)
            assert b"x-request-id: %d\r\n" % number in head
            assert json.loads(body)["virginica_probability"] == 0.75
        writer.close()


async def test_requests_sent_without_waiting_are_read_only_so_far_ahead(contract: Contract) -> None:
    """Each takes a hundred times as much memory as the bytes that ask for it."""
    short = b"GET /x HTTP/1.1\r\n\r\n"
    async with bridge(contract) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(short * 50_000)
        for _ in range(3):
            await one_answer(reader)
            read = [thing for thing in gc.get_objects() if isinstance(thing, RequestResponseCycle)]
            assert len(read) <= 2 * connection.PIECE / len(short)
        writer.transport.abort()


@pytest.mark.parametrize("last", [POST.replace(b"HTTP/1.1", b"HTTP/1.0"), POST.replace(b"host: test", b"connection: close")])
async def test_the_last_answer_of_a_connection_says_so_and_closes_it(contract: Contract, last: bytes) -> None:
    async with bridge(contract) as address:
        head, _, body = (await answer(address, last)).partition(b"\r\n\r\n")
        assert b"connection: close" in sound((head + b"\r\n\r\n", body))


async def test_an_answer_under_way_when_the_end_begins_is_the_last_of_its_connection(contract: Contract) -> None:
    channel, called, go = FakeChannel(lambda _: answered(contract)), asyncio.Event(), asyncio.Event()
    channel.hold = called, go
    async with serving(contract, channel) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST)
        await called.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        go.set()
        assert b"connection: close" in sound(await one_answer(reader))
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await stopping


async def test_a_caller_who_waits_to_be_accepted_when_the_end_begins_is_answered(contract: Contract) -> None:
    async with serving(contract, FakeChannel(lambda _: answered(contract))) as (server, address):
        with ExitStack() as opened:  # The loop stands still meanwhile: it cannot accept them.
            callers = [opened.enter_context(socket.create_connection(address)) for _ in range(5)]
            for caller in callers:
                caller.sendall(POST)
                caller.setblocking(False)
            await server.stop()
            for caller in callers:
                raw = caller.recv(65_536)
                assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b"connection: close" in raw
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


LARGE = {"detail": "a" * 8_000_000}


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """An application with one answer."""
    await JSONResponse(LARGE)(scope, receive, send)


async def test_the_end_waits_for_who_is_slow_to_take_an_answer() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(large, listener, 60.0)
    await server.start()
    reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
    writer.write(GOOD)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    stopping = asyncio.create_task(server.stop())
    await asyncio.wait({stopping}, timeout=1.5)  # uvicorn would give the answer a second.
    assert not stopping.done()
    assert json.loads(await reader.read()) == LARGE
    await stopping
    writer.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel does not end such connections")
async def test_who_never_takes_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_server, "UNREAD_SECONDS", 0.1)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(large, listener, 60.0)
    await server.start()
    reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
    writer.write(GOOD)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await asyncio.wait_for(server.stop(), 20)  # It would wait for all that is owed to anybody.
    writer.transport.abort()


async def test_a_caller_who_closes_the_connection_cancels_the_call(contract: Contract) -> None:
    channel = FakeChannel(lambda _: HANGS)
    async with serving(contract, channel) as (_, address):
        _, writer = await asyncio.open_connection(*address)
        writer.write(POST)
        await writer.drain()
        writer.close()
        await asyncio.wait_for(channel.cancelled.wait(), 20)


async def test_an_answered_request_is_gone_without_the_garbage_collector(contract: Contract) -> None:
    """Thousands of them a second would else be collected at once, while everybody waits."""
    gc.collect()
    gc.disable()
    try:
        async with bridge(contract) as address:
            raw = await answer(address, POST * 20, HEAD + b"connection: close\r\n\r\n" + BODY)
            assert raw.count(b"HTTP/1.1 200 OK") == 21
            left = [thing for thing in gc.get_objects() if isinstance(thing, RequestResponseCycle)]
    finally:
        gc.enable()
    assert len(left) <= 1
