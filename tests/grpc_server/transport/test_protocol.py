"""Predict and PredictBatch over a real channel, on each transport: responses, refusals, batching, limits."""

import asyncio
import logging
import math
from typing import Any

import grpc
import numpy as np
import pytest

from grpc_server.rows.mixed_rows import Matrix
from tests.support.fakes import FakeRuntime, Held
from tests.support.iris import EXAMPLE
from tests.support.servers.grpc_in_process import by_first_column, failure, info, served, violations

pytestmark = pytest.mark.usefixtures("each_transport")

RANGE = "must be greater than or equal to 0 and less than or equal to 1"


async def test_predict_fills_the_fields_of_classes() -> None:
    async with served(FakeRuntime(by_first_column)) as stub:
        response = await stub.predict(stub.features(**EXAMPLE))
        assert (response.setosa_probability, response.versicolor_probability, response.virginica_probability) == (0.2, 0.8, 0.0)


async def test_trailing_metadata_names_the_model() -> None:
    async with served(FakeRuntime()) as stub:
        call = stub.predict(stub.features(**EXAMPLE), metadata=(("x-request-id", "abc-1"),))
        await call
        labels = {"model-name": "iris", "model-version": "7", "model-generation": "0", "x-request-id": "abc-1"}
        assert dict(await call.trailing_metadata()) == labels
        stream = stub.predict_stream([stub.features(**EXAMPLE)], metadata=(("x-request-id", "abc-2"),))
        assert [answer async for answer in stream]
        assert dict(await stream.trailing_metadata()) == labels | {"x-request-id": "abc-2"}
        refused = stub.predict(stub.features())
        error = await failure(refused)
        assert not list(await refused.initial_metadata())  # gRPC clients retry no call that has sent anything before
        assert {key: value for key, value in error.trailing_metadata() or () if key == "model-version"} == {"model-version": "7"}


@pytest.mark.parametrize("given", ["", "x" * 129, "with space"])
async def test_unprintable_request_id_is_replaced(given: str) -> None:
    async with served(FakeRuntime()) as stub:
        call = stub.predict(stub.features(**EXAMPLE), metadata=(("x-request-id", given),))
        await call
        made = dict(await call.trailing_metadata())["x-request-id"]
        assert made != given
        assert len(made) == 16


async def test_batch_keeps_its_order() -> None:
    async with served(FakeRuntime(by_first_column)) as stub:
        rows = [EXAMPLE | {"sepal_length": i / 1000} for i in range(1000)]
        response = await stub.predict_batch(stub.batch(rows))
        assert [row.setosa_probability for row in response.rows] == [row["sepal_length"] for row in rows]


async def test_batch_above_the_limit_is_refused() -> None:
    async with served(FakeRuntime()) as stub:
        assert len((await stub.predict_batch(stub.batch([EXAMPLE] * 10_000))).rows) == 10_000
        error = await failure(stub.predict_batch(stub.batch([EXAMPLE] * 10_001)))
        assert violations(error) == [("rows", "repeated.max_items", "must contain no more than 10000 item(s)")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"sepal_length": None}, [("sepal_length", "required", "value is required")], id="missing"),
        pytest.param({"sepal_width": 1.1}, [("sepal_width", "double.gte_lte", RANGE)], id="above"),
        pytest.param({"petal_length": -0.1}, [("petal_length", "double.gte_lte", RANGE)], id="below"),
        pytest.param({"petal_width": math.inf}, [("petal_width", "double.gte_lte", RANGE)], id="infinity"),
        pytest.param(
            {"sepal_length": None, "petal_width": 7.0},
            [("sepal_length", "required", "value is required"), ("petal_width", "double.gte_lte", RANGE)],
            id="two",
        ),
    ],
)
async def test_refusal_lists_every_violation(change: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    runtime = FakeRuntime()
    async with served(runtime) as stub:
        error = await failure(stub.predict(stub.features(**EXAMPLE | change)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(error) == expected
    assert info(error).reason == "INVALID_FEATURES"
    assert info(error).metadata["violations"] == str(len(expected))
    assert error.details() == "; ".join(f"{field}: {text}" for field, _, text in expected)
    assert runtime.runs == []  # the model never saw it


async def test_violation_names_the_row_index() -> None:
    async with served(FakeRuntime()) as stub:
        error = await failure(stub.predict_batch(stub.batch([EXAMPLE, EXAMPLE | {"petal_width": 2.0}])))
        assert violations(error) == [("rows[1].petal_width", "double.gte_lte", RANGE)]


async def test_validation_stops_when_refusal_is_full() -> None:
    async with served(FakeRuntime()) as stub:
        error = await failure(stub.predict_batch(stub.batch([EXAMPLE, *[{}] * 10_000][:10_000])))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert 20 <= len(violations(error)) <= 50
        assert violations(error)[0] == ("rows[1].sepal_length", "required", "value is required")
        assert dict(info(error).metadata) == {"violations": "52", "unjudged_rows": str(10_000 - 14)}
        assert str(error.details()).endswith("(and 49 more)")


async def test_rows_beyond_max_items_are_not_validated() -> None:
    async with served(FakeRuntime()) as stub:
        call: Any = stub.channel.unary_unary("/iris.v1.IrisService/PredictBatch")
        error = await failure(call(b"\x0a\x02\x48\x01" * 1_000_000 + b"\x48\x01"))  # each row with an unknown field
        assert violations(error) == [
            ("rows", "repeated.max_items", "must contain no more than 10000 item(s)"),
            ("", "unknown_field", "field number 9 is not in iris.v1.FeaturesBatch"),
        ]


async def test_listed_unknown_fields_are_limited() -> None:
    async with served(FakeRuntime()) as stub:
        error = await failure(stub.raw(stub.features(**EXAMPLE).SerializeToString() + b"\x48\x01" * 100_000))
        assert 20 <= len(violations(error)) <= 50
        assert {rule for _, rule, _ in violations(error)} == {"unknown_field"}


@pytest.mark.parametrize("request_bytes", [b"\xff", b"\x09\x00", b"\x0a", b"garbage that is no message"])
async def test_malformed_bytes_are_invalid_argument(request_bytes: bytes) -> None:
    async with served(FakeRuntime()) as stub:
        error = await failure(stub.raw(request_bytes))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details() == "the request is not a iris.v1.Features message"
        assert info(error).reason == "MALFORMED_MESSAGE"


async def test_unknown_field_is_refused() -> None:
    async with served(FakeRuntime()) as stub:
        known = stub.features(**EXAMPLE).SerializeToString()
        error = await failure(stub.raw(known + b"\x48\x01"))  # field 9, varint 1
        assert violations(error) == [("", "unknown_field", "field number 9 is not in iris.v1.Features")]


@pytest.mark.parametrize("error", [ValueError("secret /path/value 42"), SystemExit(3), KeyboardInterrupt(), MemoryError()])
async def test_failing_model_is_an_incident(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_rows: Matrix) -> Matrix:
        raise error

    async with served(FakeRuntime(fail)) as stub:
        with caplog.at_level(logging.ERROR):
            refused = await failure(stub.predict(stub.features(**EXAMPLE), metadata=(("x-request-id", "mine"),)))
        assert refused.code() is grpc.StatusCode.INTERNAL
        incident = info(refused).metadata["incident"]
        assert refused.details() == f"internal error; quote incident {incident} to the operator"
        traced = [record for record in caplog.records if incident in record.getMessage()]
        assert len(traced) == 1
        assert "(request mine)" in traced[0].getMessage()
        assert traced[0].exc_info is not None
        assert traced[0].exc_info[1] is error
        assert (await failure(stub.predict(stub.features(**EXAMPLE)))).code() is grpc.StatusCode.INTERNAL  # the thread lives on


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda rows: np.ones((len(rows) + 1, 3)), id="too-many-rows"),
        pytest.param(lambda rows: np.ones(3), id="flat"),
        pytest.param(lambda rows: np.ones((len(rows), 2)), id="too-few-classes"),
    ],
)
async def test_malformed_outputs_are_an_incident(answer: Any) -> None:
    async with served(FakeRuntime(answer)) as stub:
        error = await failure(stub.predict(stub.features(**EXAMPLE)))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert info(error).reason == "INTERNAL"


async def test_failing_row_does_not_fail_others() -> None:
    def fail_on_zero(rows: Matrix) -> Matrix:
        if (rows[:, 0] == 0).any():
            raise ValueError
        return by_first_column(rows)

    with Held() as held:
        runtime = FakeRuntime(lambda rows: held(rows) if len(runtime.runs) == 1 else fail_on_zero(rows))
        async with served(runtime) as stub:
            first = stub.predict(stub.features(**EXAMPLE))
            await asyncio.to_thread(held.entered.acquire)
            calls = [stub.predict(stub.features(**EXAMPLE | {"sepal_length": value / 10})) for value in range(5)]
            await stub.until_waiting(5)
            held.go()
            await first
            answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[0], grpc.aio.AioRpcError)
    assert [answer.setosa_probability for answer in answers[1:]] == [0.1, 0.2, 0.3, 0.4]  # type: ignore[union-attr]
    assert max(runtime.runs) > 1


async def test_waiting_calls_share_a_run() -> None:
    with Held() as held:
        runtime = FakeRuntime(held)
        async with served(runtime) as stub:
            calls = [stub.predict(stub.features(**EXAMPLE))]
            await asyncio.to_thread(held.entered.acquire)
            calls += [stub.predict(stub.features(**EXAMPLE)) for _ in range(40)]
            await stub.until_waiting(40)
            held.go()
            await asyncio.gather(*calls)
    assert runtime.runs == [1, 40]


async def test_deadline_passes_in_the_queue() -> None:
    with Held() as held:
        runtime = FakeRuntime(held)
        async with served(runtime) as stub:
            first = stub.predict(stub.features(**EXAMPLE))
            await asyncio.to_thread(held.entered.acquire)
            late = await failure(stub.predict(stub.features(**EXAMPLE), timeout=0.2))
            assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            held.go()
            await first
    assert runtime.runs == [1]


async def test_cancelled_calls_never_reach_the_model() -> None:
    with Held() as held:
        runtime = FakeRuntime(held)
        async with served(runtime) as stub:
            first = stub.predict(stub.features(**EXAMPLE))
            await asyncio.to_thread(held.entered.acquire)
            calls = [stub.predict(stub.features(**EXAMPLE)) for _ in range(20)]
            await stub.until_waiting(20)
            for call in calls:
                call.cancel()
            last = stub.predict(stub.features(**EXAMPLE))  # on the same connection, so behind the cancellations
            await stub.until_waiting(21)
            held.go()
            await asyncio.gather(first, last)
    assert sum(runtime.runs) == 2


async def test_full_queue_refuses_at_once() -> None:
    with Held() as held:
        async with served(FakeRuntime(held), max_queue_rows=3) as stub:
            first = stub.predict(stub.features(**EXAMPLE))
            await asyncio.to_thread(held.entered.acquire)
            waiting = [stub.predict(stub.features(**EXAMPLE)) for _ in range(3)]
            await stub.until_waiting(3)
            error = await failure(stub.predict(stub.features(**EXAMPLE)))
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert info(error).reason == "OVERLOADED"
            held.go()
            await asyncio.gather(first, *waiting)


async def test_message_above_the_limit_is_refused() -> None:
    async with served(FakeRuntime(), max_message_bytes=1000) as stub:
        assert (await failure(stub.raw(b"\x4a\xff\x0f" + b"x" * 2047))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await stub.predict(stub.features(**EXAMPLE))


async def test_binary_metadata_is_ignored() -> None:
    async with served(FakeRuntime()) as stub:
        await stub.predict(stub.features(**EXAMPLE), metadata=(("x-request-id-bin", b"\x00\xff"), ("authorization", "x" * 4000)))


async def test_calls_beyond_max_streams_wait() -> None:
    async with served(FakeRuntime(), max_streams=20) as stub:

        async def caller() -> None:
            for _ in range(20):
                await stub.predict(stub.features(**EXAMPLE))

        await asyncio.gather(*(caller() for _ in range(100)))
