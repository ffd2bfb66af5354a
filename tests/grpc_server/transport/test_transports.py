"""Transports beyond single calls: watches, compression, inline models, floods, TLS, and the choice of a transport."""

import asyncio
import logging
import random
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc._cython import cygrpc
from grpc_health.v1 import health_pb2

from foretell_contract.errors import SetupError
from foretell_lifecycle.process import log_to_stderr
from grpc_server.calls.call import Call
from grpc_server.calls.handler import Handler, Kind, Last, Reply
from grpc_server.server import Server
from grpc_server.settings import ServerSettings
from grpc_server.transport.aio import AioTransport
from grpc_server.transport.choose import create_transport
from grpc_server.transport.loop import LoopTransport
from grpc_server.transport.loop_check import loop_works
from grpc_server.transport.transport import NoInlineModels
from tests.support.fakes import FakeRuntime, Held, even
from tests.support.iris import EXAMPLE
from tests.support.processes import ANY_PORT
from tests.support.servers.grpc_in_process import by_first_column, failure, served

each_transport = pytest.mark.usefixtures("each_transport")
NOWHERE = Path("nowhere.pem")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def watch(channel: grpc.aio.Channel, service: str) -> Any:
    call: Any = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return call(health_pb2.HealthCheckRequest(service=service))


@each_transport
async def test_health_watch_reports_start_and_stop() -> None:
    async with served(FakeRuntime()) as stub:
        watchers = [watch(stub.channel, service) for service in ("", "iris.v1.IrisService")]
        assert [(await watcher.read()).status for watcher in watchers] == [SERVING, SERVING]
        stopping = asyncio.create_task(stub.server.stop())
        assert [(await watcher.read()).status for watcher in watchers] == [NOT_SERVING, NOT_SERVING]
        await stopping


@each_transport
async def test_server_answers_after_cancelled_watches() -> None:
    async with served(FakeRuntime()) as stub:
        for _ in range(20):
            watcher = watch(stub.channel, "nothing")
            assert (await watcher.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            watcher.cancel()
        await stub.predict(stub.features(**EXAMPLE))


def raw_call(path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """The bytes of a connection with one call, whose headers no client library would send."""

    def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
        return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body

    names = {b":method": b"POST", b":scheme": b"http", b":path": path, b":authority": b"a", b"content-type": b"application/grpc"}
    sent = (*names.items(), (b"te", b"trailers"), *more)
    headers = b"".join(bytes([0, len(name)]) + name + bytes([len(value)]) + value for name, value in sent)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 4, 1, headers) + frame(0, 1, 1, bytes(5))


async def test_malformed_metadata_is_not_logged(
    each_transport: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """gRPC would log a trace for each, as many as a caller likes."""
    monkeypatch.setattr(logging.getLogger("grpc._cython.cygrpc"), "filters", [])
    log_to_stderr()
    given: list[str] = []

    def answer(_request: bytes, call: Call, reply: Reply) -> None:
        given.append(call.request_id)
        reply(b"answered")

    transport = create_transport(each_transport, ())
    port = transport.add_port(ANY_PORT)
    await transport.start([Handler("/a/Call", Kind.UNARY, answer)], NoInlineModels())
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw_call(b"/a/Call", (b"x-other", b"\xff"), (b"x-request-id", b"\xfe\xff")))
        await asyncio.wait_for(reader.readuntil(b"answered"), 5)
        writer.close()
    finally:
        await transport.stop(0)
    assert given[0].isascii()
    assert not caplog.records


async def test_watch_ends_after_last_response(each_transport: str) -> None:
    def answer(request: bytes, _call: Call, reply: Reply) -> None:
        for response in (request, request, Last(b"over")):
            reply(response)

    transport = create_transport(each_transport, ())
    port = transport.add_port(ANY_PORT)
    await transport.start([Handler("/a/Watch", Kind.WATCH, answer)], NoInlineModels())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_stream("/a/Watch")
            watcher = call(b"now", metadata=(("x-request-id", "a1"),))
            assert [response async for response in watcher] == [b"now", b"now", b"over"]
            assert dict(await watcher.trailing_metadata())["x-request-id"] == "a1"
    finally:
        await transport.stop(0)


@each_transport
@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_calls_are_answered(algorithm: grpc.Compression) -> None:
    async with served(FakeRuntime(by_first_column)) as stub:
        rows = [EXAMPLE | {"sepal_length": i / 1000} for i in range(1000)]
        response = await stub.predict_batch(stub.batch(rows), compression=algorithm)
        assert [row.setosa_probability for row in response.rows] == [row["sepal_length"] for row in rows]


@each_transport
async def test_size_limit_counts_decompressed_bytes() -> None:
    async with served(FakeRuntime(), max_message_bytes=10_000) as stub:
        error = await failure(stub.raw(b"\0" * 1_000_000, compression=grpc.Compression.Gzip))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await stub.predict(stub.features(**EXAMPLE))


@each_transport
async def test_calls_batches_and_streams_share_runs() -> None:
    runtime = FakeRuntime(by_first_column)
    async with served(runtime, inline=True) as stub:
        values = [i / 200 for i in range(200)]
        rows = [EXAMPLE | {"sepal_length": value} for value in values]
        calls = [stub.predict(stub.features(**row)) for row in rows]
        stream = stub.predict_stream(stub.features(**row) for row in rows)
        batch = await stub.predict_batch(stub.batch(rows))
        assert [answer.setosa_probability for answer in await asyncio.gather(*calls)] == values
        assert [answer.setosa_probability async for answer in stream] == values
        assert [answer.setosa_probability for answer in batch.rows] == values
    assert len(runtime.runs) < sum(runtime.runs) == 600  # rows shared runs


async def test_calls_of_several_connections_share_runs() -> None:
    def slow(rows: Any) -> Any:
        time.sleep(0.002)  # As a model that computes.
        return even(rows)

    callers, rounds = 16, 20
    runtime = FakeRuntime(slow)
    async with served(runtime, inline=True) as stub, AsyncExitStack() as channels:

        async def caller(channel: grpc.aio.Channel) -> None:
            predict: Any = channel.unary_unary(stub.methods["Predict"].path)
            for _ in range(rounds):
                await predict(stub.features(**EXAMPLE).SerializeToString())

        own = [("grpc.use_local_subchannel_pool", 1)]
        opened = [await channels.enter_async_context(grpc.aio.insecure_channel(stub.address, own)) for _ in range(4)]
        await asyncio.gather(*(caller(opened[index % 4]) for index in range(callers)))
    assert sum(runtime.runs) == callers * rounds
    assert len(runtime.runs) < 1.5 * rounds  # One run of nearly all callers a round.


async def test_refused_calls_do_not_delay_rows() -> None:
    calls, answered, sent = 2000, 0, threading.Event()

    class Waiting:
        """One row that waits from the start."""

        waiting = 1
        ran_behind = 0

        def run_waiting(self) -> None:
            """See InlineModels."""
            if self.waiting and answered:
                self.waiting, self.ran_behind = 0, answered

    def answer(request: bytes, _call: Call, reply: Reply) -> None:
        nonlocal answered
        assert sent.wait(20)
        answered += 1
        reply(request)

    transport = LoopTransport((("grpc.http.overload_protection", 0), ("grpc.server.max_pending_requests", calls)))
    work = Waiting()
    port = transport.add_port(ANY_PORT)
    await transport.start([Handler("/a/Refused", Kind.UNARY, answer)], work)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_unary("/a/Refused")
            flood = asyncio.gather(*(call(b"") for _ in range(calls)))
            await asyncio.sleep(0)  # All of them have begun.
            sent.set()
            await flood
    finally:
        await transport.stop(0)
    assert 0 < work.ran_behind < calls / 2


@each_transport
async def test_open_stream_ends_with_the_server() -> None:
    async def endless(stub: Any) -> AsyncIterator[Any]:
        yield stub.features(**EXAMPLE)
        await asyncio.Event().wait()

    async with served(FakeRuntime()) as stub:
        call = stub.predict_stream(endless(stub))
        await call.read()
        await stub.server.stop()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call.read()


@each_transport
async def test_deadline_passes_while_the_model_runs() -> None:
    with Held() as held:
        async with served(FakeRuntime(held)) as stub:
            late = stub.predict(stub.features(**EXAMPLE), timeout=0.2)
            await asyncio.to_thread(held.entered.acquire)
            assert (await failure(late)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
            held.go()
            await stub.predict(stub.features(**EXAMPLE))


@each_transport
async def test_mutated_messages_are_answered_or_refused() -> None:
    numbers = random.Random(7)  # the same messages on every run
    async with served(FakeRuntime(), inline=True) as stub:
        good = stub.features(**EXAMPLE).SerializeToString()
        for _ in range(30):
            bodies = [mutated(good, numbers) for _ in range(50)]
            for answer in await asyncio.gather(*(stub.raw(body) for body in bodies), return_exceptions=True):
                if isinstance(answer, BaseException):
                    assert isinstance(answer, grpc.aio.AioRpcError)
                    assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT


def mutated(message: bytes, numbers: random.Random) -> bytes:
    body = bytearray(message)
    for _ in range(numbers.randint(0, 4)):
        place = numbers.randrange(len(body) + 1)
        body[place : place + numbers.randint(0, 2)] = numbers.randbytes(numbers.randint(0, 2))
    return bytes(body)


@each_transport
async def test_port_with_certificate_is_encrypted(tmp_path: Path) -> None:
    authority = trustme.CA()
    identity = authority.issue_cert("localhost")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    identity.private_key_pem.write_to_path(key)
    for part in identity.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    trust = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    async with served(FakeRuntime(), grpc_address="localhost:0", tls_certificate=certificate, tls_key=key) as stub:
        async with grpc.aio.secure_channel(stub.address, trust) as channel:
            encrypted: Any = channel.unary_unary("/iris.v1.IrisService/Predict")
            assert await encrypted(stub.features(**EXAMPLE).SerializeToString())
        assert (await failure(stub.predict(stub.features(**EXAMPLE)))).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"tls_key": Path("key.pem")}, "tls_certificate and tls_key go together: set both, or neither"),
        ({"tls_certificate": NOWHERE, "tls_key": NOWHERE}, f"cannot read {NOWHERE} and {NOWHERE}: No such file or directory"),
        ({"tls_certificate": __file__, "tls_key": __file__}, f"{__file__} and {__file__} are not a certificate and its key in PEM"),
    ],
)
async def test_unusable_certificate_refuses_the_start(given: dict[str, Path], text: str) -> None:
    with pytest.raises(SetupError) as refused:
        Server(ServerSettings(grpc_address="127.0.0.1:0", **given)).bind()
    assert str(refused.value) == text


def test_loop_check_passes_on_pinned_grpcio() -> None:
    assert loop_works()


@pytest.mark.parametrize("name", ["CompletionQueue", "ReceiveMessageOperation"])
async def test_aio_replaces_a_failing_loop(name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delattr(cygrpc, name)
    with caplog.at_level(logging.WARNING):
        assert isinstance(create_transport("auto", ()), AioTransport)
    assert "the loop transport does not work on grpcio" in caplog.text


async def test_auto_chooses_the_loop() -> None:
    assert isinstance(create_transport("auto", ()), LoopTransport)
