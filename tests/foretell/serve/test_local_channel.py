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


class Ways:
    """A server, and all ways to it."""

    def __init__(self, stub: Stub, over_grpc: grpc.aio.Channel) -> None:
        self.stub = stub
        local = LocalChannel(stub.handlers, stub.registry, LIMIT)
        self.channels: dict[str, Channel] = {"grpc": over_grpc, "local": local}

    def call(self, way: str, name: str, request: Any, seconds: float = 10.0) -> Any:
        path = self.stub.methods[name].path if name in self.stub.methods else name
        message = request if isinstance(request, bytes) else request.SerializeToString()
        return self.channels[way].unary_unary(path)(message, timeout=seconds, metadata=(("x-request-id", "mine"),))

    async def outcomes(self, name: str, request: Any) -> list[tuple[Any, ...]]:
        return [await outcome(partial(self.call, way, name, request)) for way in self.channels]


@asynccontextmanager
async def ways(runtime: FakeRuntime, *, inline: bool = True, **settings: Any) -> AsyncIterator[Ways]:
    async with served(runtime, inline=inline, max_message_bytes=LIMIT, **settings) as stub, open_channel(stub.address) as channel:
        yield Ways(stub, channel)


async def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """All that a caller can tell of a call; of an incident without its number."""
    try:
        begun = call()
        return await begun, sorted(await begun.trailing_metadata())
    except grpc.aio.AioRpcError as error:
        trailing = {key: value for key, value in error.trailing_metadata() or () if key != "grpc-status-details-bin"}
        status = details(error)
        reasons = [info.reason for info in infos(status)]
        told = status.details if "INTERNAL" not in reasons else reasons
        words = error.details() if reasons and "INTERNAL" not in reasons else ""  # Others are the library's.
        return error.code(), words, sorted(trailing.items()), [str(detail) for detail in told]


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
async def test_a_call_ends_alike_on_each_way(inline: bool) -> None:
    async with ways(FakeRuntime(by_first_column), inline=inline) as every:
        for name, method, request, code in REQUESTS:
            over_grpc, local = await every.outcomes(method, request(every.stub))
            assert local == over_grpc, name
            assert over_grpc[0] is code or code is None, name


async def test_a_failing_model_is_opaque_on_each_way() -> None:
    async with ways(FakeRuntime(raises)) as every:
        row = every.stub.features(**EXAMPLE)
        over_grpc, local = await every.outcomes("Predict", row)
    assert local == over_grpc
    assert over_grpc[0] is grpc.StatusCode.INTERNAL


async def test_an_overload_and_a_drain_are_told_alike_on_each_way() -> None:
    with Held() as held:
        async with ways(FakeRuntime(held), inline=False, max_queue_rows=1) as every:
            row = every.stub.features(**EXAMPLE)
            begun = [asyncio.ensure_future(every.stub.predict(row))]
            await asyncio.to_thread(held.entered.acquire)
            begun.append(asyncio.ensure_future(every.stub.predict(row)))
            await every.stub.until_waiting(1)
            for code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE):
                over_grpc, local = await every.outcomes("Predict", row)
                assert local == over_grpc
                assert over_grpc[0] is code
                every.stub.registry.admission.close()
            held.go()
            await asyncio.gather(*begun)


@pytest.mark.parametrize("way", ["grpc", "local"])
async def test_a_deadline_passes_whatever_the_model_does(way: str) -> None:
    with Held() as held:
        async with ways(FakeRuntime(held), inline=False) as every:
            row = every.stub.features(**EXAMPLE)
            running = asyncio.ensure_future(every.stub.predict(row))
            await asyncio.to_thread(held.entered.acquire)
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await every.call(way, "Predict", row, 0.05)
            assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            held.go()
            await running


@pytest.mark.parametrize("way", ["grpc", "local"])
async def test_a_cancelled_row_never_reaches_the_model(way: str) -> None:
    with Held() as held:
        runtime = FakeRuntime(held)
        async with ways(runtime, inline=False) as every:
            row = every.stub.features(**EXAMPLE)
            running = asyncio.ensure_future(every.stub.predict(row))
            await asyncio.to_thread(held.entered.acquire)
            call = every.call(way, "Predict", row)
            answer = asyncio.ensure_future(_answer(call))
            await every.stub.until_waiting(1)
            assert (call.cancel(), call.cancel()) == (True, False)
            with pytest.raises(asyncio.CancelledError):
                await answer
            last = asyncio.ensure_future(every.stub.predict(row))  # On the same connection, so behind the cancellation.
            await every.stub.until_waiting(2)
            held.go()
            await asyncio.gather(running, last)
    assert sum(runtime.runs) == 2


async def _answer(call: Any) -> bytes:
    answer: bytes = await call
    return answer


async def _a_look() -> None:
    """The turns in which the channel looks for rows in company of those that it has run."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_rows_of_one_turn_go_through_an_inline_model_together() -> None:
    runtime = FakeRuntime(even)
    async with ways(runtime) as every:
        for runs in ([1, 19], [20], [20]):  # The first takes itself to be alone until it is seen not to be.
            calls = [every.call("local", "Predict", every.stub.features(**EXAMPLE)) for _ in range(20)]
            assert len({await _answer(call) for call in calls}) == 1
            assert runtime.runs == runs
            runtime.runs.clear()


async def test_a_lone_row_has_its_answer_in_the_turn_in_which_it_comes() -> None:
    runtime = FakeRuntime(even)
    async with ways(runtime) as every:
        for _ in range(20):
            call = every.call("local", "Predict", every.stub.features(**EXAMPLE))
            assert runtime.runs == [1]
            await _answer(call)
            await _a_look()
            runtime.runs.clear()


async def test_rows_of_which_a_few_were_alone_are_run_at_once_again() -> None:
    runtime = FakeRuntime(even)
    async with ways(runtime) as every:
        for _ in range(2):
            every.call("local", "Predict", every.stub.features(**EXAMPLE))
        ran_at_once = []
        for _ in range(6):
            await _a_look()
            runtime.runs.clear()
            call = every.call("local", "Predict", every.stub.features(**EXAMPLE))
            ran_at_once.append(bool(runtime.runs))
            await _answer(call)
    assert ran_at_once == [False] * 4 + [True] * 2


async def test_more_rows_than_go_together_are_all_answered() -> None:
    runtime = FakeRuntime(even)
    async with ways(runtime, max_batch_rows=8) as every:
        calls = [every.call("local", "Predict", every.stub.features(**EXAMPLE)) for _ in range(21)]
        for call in calls:
            await _answer(call)
    assert runtime.runs == [1, 8, 8, 4]


async def test_nothing_of_a_call_is_kept_once_it_has_ended() -> None:
    async with ways(FakeRuntime(even)) as every:
        channel: Any = every.channels["local"]
        call = every.call("local", "Predict", every.stub.features(**EXAMPLE))
        await _answer(call)
        assert call._pending is None
        assert not channel.deadlines._waiting
