"""PredictStream over a real channel, on each transport: order, read-ahead, refusals."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from grpc_server.calls.handler import WINDOW
from grpc_server.rows.mixed_rows import Matrix
from tests.support.fakes import FakeRuntime, Held
from tests.support.iris import EXAMPLE
from tests.support.servers.grpc_in_process import Stub, by_first_column, failure, info, served

pytestmark = pytest.mark.usefixtures("each_transport")

RANGE = "must be greater than or equal to 0 and less than or equal to 1"


async def test_stream_is_answered_in_order() -> None:
    async with served(FakeRuntime(by_first_column), max_batch_rows=7) as stub:
        values = [i / 500 for i in range(500)]
        call = stub.predict_stream(stub.features(**EXAMPLE | {"sepal_length": value}) for value in values)
        assert [answer.setosa_probability async for answer in call] == values


async def test_stream_answers_before_the_next_message() -> None:
    async with served(FakeRuntime()) as stub:
        call = stub.predict_stream()
        for _ in range(3):
            await call.write(stub.features(**EXAMPLE))
            assert (await call.read()).setosa_probability == pytest.approx(1 / 3)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    ("bad", "reason"), [(EXAMPLE | {"petal_width": 3.0}, "INVALID_FEATURES"), ({}, "INVALID_FEATURES"), (None, "MALFORMED_MESSAGE")]
)
async def test_first_refusal_ends_the_stream(bad: Any, reason: str) -> None:
    async with served(FakeRuntime(by_first_column)) as stub:
        call: Any = stub.channel.stream_stream(stub.methods["PredictStream"].path)
        good = [stub.features(**EXAMPLE | {"sepal_length": i / 10}).SerializeToString() for i in range(5)]
        wrong = b"\xff" if bad is None else stub.features(**bad).SerializeToString()
        stream = call(iter([*good, wrong]))
        answers = [stub.methods["Predict"].response.FromString(await stream.read()) for _ in good]
        assert [answer.setosa_probability for answer in answers] == [0.0, 0.1, 0.2, 0.3, 0.4]
        error = await failure(stream.read())
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert str(error.details()).startswith("message 5: ")
        assert info(error).metadata["index"] == "5"
        assert info(error).reason == reason


@pytest.mark.parametrize("inline", [True, False])
async def test_first_invalid_answer_ends_the_stream(inline: bool) -> None:
    def nothing_for_half(rows: Matrix) -> Matrix:
        return np.where(rows[:, :1] == 0.5, np.nan, by_first_column(rows))

    async with served(FakeRuntime(nothing_for_half), inline=inline) as stub:
        stream = stub.predict_stream([stub.features(**EXAMPLE | {"sepal_length": value}) for value in (0.1, 0.2, 0.5)])
        assert [(await stream.read()).setosa_probability for _ in range(2)] == [0.1, 0.2]
        error = await failure(stream.read())
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert str(error.details()).startswith("message 2: the model's answer is invalid: setosa_probability: must be greater")
        assert info(error).metadata["index"] == "2"
        assert info(error).reason == "INVALID_ANSWER"


async def test_stream_reads_ahead_within_window() -> None:
    async def endless(stub: Stub) -> AsyncIterator[Any]:
        while True:
            yield stub.features(**EXAMPLE)

    with Held() as held:
        runtime = FakeRuntime(held)
        async with served(runtime, max_batch_rows=1) as stub:
            stream = stub.predict_stream(endless(stub))
            await asyncio.to_thread(held.entered.acquire)
            ahead = WINDOW - 1  # the first is in the model
            await stub.until_waiting(ahead)
            last = stub.predict(stub.features(**EXAMPLE))
            await stub.until_waiting(ahead + 1)
            stream.cancel()
            behind = stub.predict(stub.features(**EXAMPLE))
            await stub.until_waiting(ahead + 2)
            held.go()
            await asyncio.gather(last, behind)
    assert sum(runtime.runs) == 3
