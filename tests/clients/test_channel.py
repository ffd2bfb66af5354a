"""Retries, deadlines and replicas of the client, on real servers that fail, start late or answer slowly."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from foretell_client import AsyncIrisClient, DeadlineExceeded, Features, IrisClient, PredictionError, ServerUnavailable
from foretell_client.channel import OPTIONS, SERVICE_CONFIG
from foretell_client.stubs.iris.v1.iris_pb2 import Response
from tests.clients.conftest import ANSWER, FLOWER, Flaky, serving

pytestmark = pytest.mark.slow

Call = Callable[[str], Response]


def sync_predict(target: str) -> Response:
    with IrisClient.connect(target) as iris:
        return iris.predict(FLOWER)


def aio_predict(target: str) -> Response:
    async def predict() -> Response:
        async with AsyncIrisClient.connect(target) as iris:
            return await iris.predict(FLOWER)

    return asyncio.run(predict())


def sync_stream(target: str) -> Response:
    with IrisClient.connect(target) as iris:
        return next(iris.predict_stream([FLOWER]))


def aio_stream(target: str) -> Response:
    async def predict() -> Response:
        async with AsyncIrisClient.connect(target) as iris:
            return await anext(iris.predict_stream([FLOWER]))

    return asyncio.run(predict())


every_call = pytest.mark.parametrize("call", [sync_predict, aio_predict, sync_stream, aio_stream])


class Remaining:
    """A Predict that records the remaining time of each call."""

    def __init__(self) -> None:
        self.seconds: list[float | None] = []

    def __call__(self, request, context) -> Response:
        self.seconds.append(context.time_remaining())
        return ANSWER


@pytest.fixture
def held() -> Iterator[Callable[..., Response]]:
    """A Predict that answers only after the test."""
    end = threading.Event()

    def predict(request, context) -> Response:
        end.wait(30)
        return ANSWER

    yield predict
    end.set()


@every_call
def test_unavailable_is_retried(call: Call) -> None:
    predict = Flaky(failures=2)
    with serving(predict) as target:
        assert call(target) == ANSWER
    assert predict.calls == 3


def test_cancelled_by_stopping_server_is_retried() -> None:
    predict = Flaky(failures=2, code=grpc.StatusCode.CANCELLED)
    with serving(predict) as target:
        assert sync_predict(target) == ANSWER
    assert predict.calls == 3


def test_error_is_raised_after_five_attempts() -> None:
    predict = Flaky(failures=100)
    with serving(predict) as target, pytest.raises(ServerUnavailable, match="UNAVAILABLE: not now"):
        sync_predict(target)
    assert predict.calls == 5


@pytest.mark.parametrize("name", ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL"])
def test_other_errors_are_not_retried(name: str) -> None:
    predict = Flaky(failures=1, code=grpc.StatusCode[name])
    with serving(predict) as target, pytest.raises(PredictionError) as raised:
        sync_predict(target)
    assert (raised.value.code.name, predict.calls) == (name, 1)


def test_call_reaches_a_server_started_late(tmp_path: Path) -> None:
    target = f"unix:{tmp_path}/s"
    failing = threading.Event()

    def watch(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            failing.set()

    with grpc.insecure_channel(target, OPTIONS) as channel, ThreadPoolExecutor(1) as pool:
        channel.subscribe(watch, try_to_connect=True)
        assert failing.wait(30)
        call = pool.submit(IrisClient(channel).predict, FLOWER)
        with serving(Flaky(failures=0), target):
            assert call.result(30) == ANSWER
        channel.unsubscribe(watch)


def test_missing_server_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="No such file or directory") as raised:
        sync_predict(f"unix:{tmp_path}/none")
    assert raised.value.request_id == ""


def test_retry_goes_to_another_replica() -> None:
    away, there = Flaky(failures=100), Flaky(failures=0)
    with serving(away) as one, serving(there) as other, IrisClient.connect(f"ipv4:{one},{other}") as iris:
        while not away.calls:
            assert iris.predict(FLOWER) == ANSWER
    assert there.calls >= 1


def test_deadline_of_client_and_of_call() -> None:
    predict = Remaining()
    with serving(predict) as target:
        with IrisClient.connect(target) as iris:
            iris.predict(FLOWER)
            iris.predict(FLOWER, timeout=60)
        with IrisClient.connect(target, timeout=20) as iris:
            iris.predict(FLOWER)
    assert predict.seconds == pytest.approx([5, 60, 20], abs=1)


async def test_async_calls_have_the_same_deadlines() -> None:
    predict = Remaining()
    with serving(predict) as target:
        async with AsyncIrisClient.connect(target) as iris:
            await iris.predict(FLOWER)
            await iris.predict(FLOWER, timeout=60)
    assert predict.seconds == pytest.approx([5, 60], abs=1)


def test_stream_has_no_default_deadline() -> None:
    predict = Remaining()
    with serving(predict) as target, IrisClient.connect(target) as iris:
        list(iris.predict_stream([FLOWER]))
        list(iris.predict_stream([FLOWER], timeout=60))
    none, own = predict.seconds
    assert none > 1e9
    assert own == pytest.approx(60, abs=1)


def test_late_answer_is_deadline_exceeded(held) -> None:
    with serving(held) as target, IrisClient.connect(target, timeout=0.2) as iris:
        with pytest.raises(DeadlineExceeded):
            iris.predict(FLOWER)
        with pytest.raises(DeadlineExceeded):
            list(iris.predict_stream([FLOWER], timeout=0.2))


async def test_rows_are_closed_with_their_stream() -> None:
    ended = asyncio.Event()

    async def rows() -> AsyncIterator[Features]:
        try:
            yield FLOWER
            await asyncio.Event().wait()
        finally:
            ended.set()

    with serving(Flaky(failures=0)) as target:
        async with AsyncIrisClient.connect(target) as iris:
            answers = iris.predict_stream(rows())
            assert await anext(answers) == ANSWER
            await answers.aclose()
            await asyncio.wait_for(ended.wait(), 30)


async def test_async_call_can_be_cancelled(held) -> None:
    entered = threading.Event()

    def predict(request, context) -> Response:
        entered.set()
        return held(request, context)

    with serving(predict) as target:
        async with AsyncIrisClient.connect(target) as iris:
            call = asyncio.create_task(iris.predict(FLOWER))
            assert await asyncio.to_thread(entered.wait, 30)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call


def test_threads_may_share_a_client() -> None:
    with serving(Flaky(failures=0)) as target, IrisClient.connect(target) as iris, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(iris.predict, [FLOWER] * 200)) == [ANSWER] * 200


def test_pings_are_within_server_limits() -> None:
    """Servers close connections with pings less than 30 seconds apart."""
    options = dict(OPTIONS)
    assert 30_000 < options["grpc.keepalive_time_ms"] < 60_000
    assert options["grpc.keepalive_permit_without_calls"] == 1


def test_attempts_fit_into_default_deadline() -> None:
    policy = SERVICE_CONFIG["methodConfig"][0]["retryPolicy"]
    first, factor, most = float(policy["initialBackoff"][:-1]), policy["backoffMultiplier"], float(policy["maxBackoff"][:-1])
    pauses = [min(first * factor**attempt, most) for attempt in range(policy["maxAttempts"] - 1)]
    assert sum(pauses) * 1.2 < 5  # gRPC adds up to a fifth of jitter.
    assert json.loads(dict(OPTIONS)["grpc.service_config"]) == SERVICE_CONFIG
