"""LocalChannel against grpc.aio: the same replies, statuses, details and metadata."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from foretell.serve.local_channel import LocalChannel
from rest_bridge.channel import Channel, open_channel
from tests.support.fakes import FakeRuntime, Held, even
from tests.support.iris import EXAMPLE
from tests.support.servers.grpc_in_process import Stub, by_first_column, served

LIMIT = 4096
"""Bytes of a message."""


class Channels:
    """A server and both channels to it."""

    def __init__(self, stub: Stub, over_grpc: grpc.aio.Channel) -> None:
        self.stub = stub
        local = LocalChannel(stub.handlers, stub.registry, LIMIT)
        self.channels: dict[str, Channel] = {"grpc": over_grpc, "local": local}

    def call(self, channel: str, name: str, request: Any, seconds: float = 10.0) -> Any:
        path = self.stub.methods[name].path if name in self.stub.methods else name
        message = request if isinstance(request, bytes) else request.SerializeToString()
        return self.channels[channel].unary_unary(path)(message, timeout=seconds, metadata=(("x-request-id", "mine"),))

    async def outcomes(self, name: str, request: Any) -> list[tuple[Any, ...]]:
        return [await outcome(partial(self.call, channel, name, request)) for channel in self.channels]


@asynccontextmanager
async def both_channels(runtime: FakeRuntime, *, inline: bool = True, **settings: Any) -> AsyncIterator[Channels]:
    async with served(runtime, inline=inline, max_message_bytes=LIMIT, **settings) as stub, open_channel(stub.address) as channel:
        yield Channels(stub, channel)


async def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """Everything a caller can observe of a call, without the number of an incident."""
    try:
        started = call()
        return await started, sorted(await started.trailing_metadata())
    except grpc.aio.AioRpcError as error:
        trailing = {key: value for key, value in error.trailing_metadata() or () if key != "grpc-status-details-bin"}
        status = details(error)
        reasons = [info.reason for info in infos(status)]
        shown = status.details if "INTERNAL" not in reasons else reasons
        text = error.details() if reasons and "INTERNAL" not in reasons else ""  # Other texts are the library's.
        return error.code(), text, sorted(trailing.items()), [str(detail) for detail in shown]


def details(error: grpc.aio.AioRpcError) -> Status:
    found = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
    return Status.FromString(found[0]) if found else Status()


def infos(status: Status) -> list[ErrorInfo]:
    found = []
    for packed in status.details:
        info = ErrorInfo()
        if packed.Unpack(info):
            found.append(info)
    return found


def raises(rows: Any) -> Any:
    raise SystemExit("secret")


REQUESTS: list[tuple[str, str, Callable[[Stub], Any], grpc.StatusCode | None]] = [
    ("good", "Predict", lambda stub: stub.features(**EXAMPLE), None),
    ("batch", "PredictBatch", lambda stub: stub.batch([EXAMPLE] * 3), None),
    ("health", "/grpc.health.v1.Health/Check", lambda _: b"", None),
    ("models", "/foretell.v1.ModelService/ListModels", lambda _: b"", None),
    ("rule", "Predict", lambda stub: stub.features(**EXAMPLE | {"petal_width": 1.1}), grpc.StatusCode.INVALID_ARGUMENT),
    ("bytes", "Predict", lambda _: b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
    ("empty", "PredictBatch", lambda _: b"", grpc.StatusCode.INVALID_ARGUMENT),
    ("method", "/iris.v1.IrisService/Guess", lambda _: b"", grpc.StatusCode.UNIMPLEMENTED),
    ("service", "/grpc.health.v1.Health/Check", lambda _: b"\x0a\x01x", grpc.StatusCode.NOT_FOUND),
    ("size", "PredictBatch", lambda stub: stub.batch([EXAMPLE] * 200), grpc.StatusCode.RESOURCE_EXHAUSTED),
]


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "thread"])
async def test_both_channels_give_the_same_outcome(inline: bool) -> None:
    async with both_channels(FakeRuntime(by_first_column), inline=inline) as both:
        for name, method, request, code in REQUESTS:
            over_grpc, local = await both.outcomes(method, request(both.stub))
            assert local == over_grpc, name
            assert over_grpc[0] is code or code is None, name


async def test_both_channels_hide_model_errors() -> None:
    async with both_channels(FakeRuntime(raises)) as both:
        row = both.stub.features(**EXAMPLE)
        over_grpc, local = await both.outcomes("Predict", row)
    assert local == over_grpc
    assert over_grpc[0] is grpc.StatusCode.INTERNAL


async def test_both_channels_refuse_overload_and_drain() -> None:
    with Held() as held:
        async with both_channels(FakeRuntime(held), inline=False, max_queue_rows=1) as both:
            row = both.stub.features(**EXAMPLE)
            begun = [asyncio.ensure_future(both.stub.predict(row))]
            await asyncio.to_thread(held.entered.acquire)
            begun.append(asyncio.ensure_future(both.stub.predict(row)))
            await both.stub.until_waiting(1)
            for code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE):
                over_grpc, local = await both.outcomes("Predict", row)
                assert local == over_grpc
                assert over_grpc[0] is code
                both.stub.registry.admission.close()
            held.go()
            await asyncio.gather(*begun)


@pytest.mark.parametrize("channel", ["grpc", "local"])
async def test_deadline_passes_while_the_model_hangs(channel: str) -> None:
    with Held() as held:
        async with both_channels(FakeRuntime(held), inline=False) as both:
            row = both.stub.features(**EXAMPLE)
            running = asyncio.ensure_future(both.stub.predict(row))
            await asyncio.to_thread(held.entered.acquire)
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await both.call(channel, "Predict", row, 0.05)
            assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            held.go()
            await running


@pytest.mark.parametrize("channel", ["grpc", "local"])
async def test_cancelled_row_never_reaches_the_model(channel: str) -> None:
    with Held() as held:
        runtime = FakeRuntime(held)
        async with both_channels(runtime, inline=False) as both:
            row = both.stub.features(**EXAMPLE)
            running = asyncio.ensure_future(both.stub.predict(row))
            await asyncio.to_thread(held.entered.acquire)
            call = both.call(channel, "Predict", row)
            answer = asyncio.ensure_future(_response(call))
            await both.stub.until_waiting(1)
            assert (call.cancel(), call.cancel()) == (True, False)
            with pytest.raises(asyncio.CancelledError):
                await answer
            last = asyncio.ensure_future(both.stub.predict(row))  # On the same connection, so behind the cancellation.
            await both.stub.until_waiting(2)
            held.go()
            await asyncio.gather(running, last)
    assert sum(runtime.runs) == 2


async def _response(call: Any) -> bytes:
    answer: bytes = await call
    return answer


async def _turns() -> None:
    """The turns of the loop after which the channel looks at the queue again."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_rows_of_one_turn_share_a_run() -> None:
    runtime = FakeRuntime(even)
    async with both_channels(runtime) as both:
        for runs in ([1, 19], [20], [20]):  # The first is expected to be alone.
            calls = [both.call("local", "Predict", both.stub.features(**EXAMPLE)) for _ in range(20)]
            assert len({await _response(call) for call in calls}) == 1
            assert runtime.runs == runs
            runtime.runs.clear()


async def test_lone_row_runs_at_once() -> None:
    runtime = FakeRuntime(even)
    async with both_channels(runtime) as both:
        for _ in range(20):
            call = both.call("local", "Predict", both.stub.features(**EXAMPLE))
            assert runtime.runs == [1]
            await _response(call)
            await _turns()
            runtime.runs.clear()


async def test_rows_run_at_once_after_lone_ones() -> None:
    runtime = FakeRuntime(even)
    async with both_channels(runtime) as both:
        for _ in range(2):
            both.call("local", "Predict", both.stub.features(**EXAMPLE))
        ran_at_once = []
        for _ in range(6):
            await _turns()
            runtime.runs.clear()
            call = both.call("local", "Predict", both.stub.features(**EXAMPLE))
            ran_at_once.append(bool(runtime.runs))
            await _response(call)
    assert ran_at_once == [False] * 4 + [True] * 2


async def test_rows_beyond_one_batch_are_answered() -> None:
    runtime = FakeRuntime(even)
    async with both_channels(runtime, max_batch_rows=8) as both:
        calls = [both.call("local", "Predict", both.stub.features(**EXAMPLE)) for _ in range(21)]
        for call in calls:
            await _response(call)
    assert runtime.runs == [1, 8, 8, 4]


async def test_ended_call_releases_its_request() -> None:
    async with both_channels(FakeRuntime(even)) as both:
        channel: Any = both.channels["local"]
        call = both.call("local", "Predict", both.stub.features(**EXAMPLE))
        await _response(call)
        assert call._pending is None
        assert not channel.deadlines._waiting
