"""The sync and the async client against a real server give the same answers and errors."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import pytest

from foretell_client import AsyncIrisClient, Features, InvalidFeatures, IrisClient, PredictionError, Violation
from tests.clients.conftest import BAD, FLOWER
from tests.support.processes import Foretell

pytestmark = pytest.mark.slow

VIRGINICA = 0.9653
TOO_LARGE = "must be greater than or equal to 0 and less than or equal to 1"


class Sync:
    """The sync client behind the interface of these tests."""

    def __init__(self, target: str) -> None:
        self._target = target

    def predict(self, features: Features) -> Any:
        with IrisClient.connect(self._target) as iris:
            return iris.predict(features)

    def batch(self, rows: Iterable[Features]) -> Any:
        with IrisClient.connect(self._target) as iris:
            return iris.predict_batch(rows)

    def stream(self, rows: Iterable[Features], answers: list[Any]) -> None:
        with IrisClient.connect(self._target) as iris:
            for answer in iris.predict_stream(rows):
                answers.append(answer)  # noqa: PERF402  # those before an error count


class Async:
    """The async client behind the same interface."""

    def __init__(self, target: str) -> None:
        self._target = target

    def _run(self, call: Callable[[AsyncIrisClient], Any]) -> Any:
        async def connected() -> Any:
            async with AsyncIrisClient.connect(self._target) as iris:
                return await call(iris)

        return asyncio.run(connected())

    def predict(self, features: Features) -> Any:
        return self._run(lambda iris: iris.predict(features))

    def batch(self, rows: Iterable[Features]) -> Any:
        return self._run(lambda iris: iris.predict_batch(rows))

    def stream(self, rows: Iterable[Features], answers: list[Any]) -> None:
        async def read(iris: AsyncIrisClient) -> None:
            async for answer in iris.predict_stream(rows):
                answers.append(answer)  # noqa: PERF401  # those before an error count

        self._run(read)


@pytest.fixture(params=[Sync, Async])
def client(request: pytest.FixtureRequest, running: Foretell) -> Any:
    return request.param(running.grpc)


def test_predict_answers(client) -> None:
    answer = client.predict(FLOWER)
    assert answer.virginica_probability == pytest.approx(VIRGINICA, abs=1e-4)
    assert answer.setosa_probability + answer.versicolor_probability + answer.virginica_probability == pytest.approx(1)


def test_batch_is_answered_in_order(client) -> None:
    setosa = Features(sepal_length=0.1, sepal_width=0.6, petal_length=0.1, petal_width=0.1)
    first, second = client.batch([FLOWER, setosa])
    assert first.virginica_probability == pytest.approx(VIRGINICA, abs=1e-4)
    assert second.setosa_probability > 0.9


def test_largest_batch_fits(client) -> None:
    assert len(client.batch([FLOWER] * 10_000)) == 10_000


def test_error_names_the_broken_rule(client) -> None:
    with pytest.raises(InvalidFeatures) as raised:
        client.predict(BAD)
    assert raised.value.violations == (Violation("petal_width", "double.gte_lte", TOO_LARGE),)
    assert raised.value.reason == "INVALID_FEATURES"
    assert raised.value.request_id


def test_missing_feature_is_not_zero(client) -> None:
    with pytest.raises(InvalidFeatures) as raised:
        client.predict(Features(sepal_length=0, sepal_width=0, petal_length=0))
    assert [(v.field, v.rule) for v in raised.value.violations] == [("petal_width", "required")]


def test_error_of_batch_names_the_row(client) -> None:
    with pytest.raises(InvalidFeatures) as raised:
        client.batch([FLOWER, BAD])
    assert [v.field for v in raised.value.violations] == ["rows[1].petal_width"]


def test_unlisted_violations_are_counted(client) -> None:
    with pytest.raises(InvalidFeatures) as raised:
        client.batch([BAD] * 10_000)
    assert raised.value.violations
    assert len(raised.value.violations) + raised.value.omitted + raised.value.unjudged_rows == 10_000


def test_stream_answers_every_flower(client) -> None:
    answers: list[Any] = []
    client.stream((FLOWER for _ in range(500)), answers)
    assert len(answers) == 500


def test_stream_ends_at_first_invalid_flower(client) -> None:
    answers: list[Any] = []
    with pytest.raises(InvalidFeatures) as raised:
        client.stream([FLOWER, FLOWER, BAD, FLOWER], answers)
    assert len(answers) == 2
    assert raised.value.index == 2
    assert [v.field for v in raised.value.violations] == ["petal_width"]


def test_error_survives_pending_writes(client) -> None:
    """Without `feed`, grpc.aio reports most of these as INTERNAL."""
    for _ in range(20):
        with pytest.raises(InvalidFeatures):
            client.stream([FLOWER, BAD, *[FLOWER] * 200], [])


def test_exception_of_rows_follows_the_answers(client) -> None:
    def rows():
        yield FLOWER
        raise ValueError("no number in line 2")

    answers: list[Any] = []
    with pytest.raises(ValueError, match="no number in line 2"):
        client.stream(rows(), answers)
    assert len(answers) == 1


async def test_async_rows_feed_a_stream(running: Foretell) -> None:
    async def rows() -> AsyncIterator[Features]:
        yield FLOWER
        yield FLOWER
        raise ValueError("the source is gone")

    answers = []

    async def read() -> None:
        async with AsyncIrisClient.connect(running.grpc) as iris:
            async for answer in iris.predict_stream(rows()):
                answers.append(answer)  # noqa: PERF401  # those before the error count

    with pytest.raises(ValueError, match="the source is gone"):
        await read()
    assert len(answers) == 2


def test_unknown_method_is_a_prediction_error(running: Foretell) -> None:
    """No RpcError reaches a caller, whatever the status."""
    with grpc.insecure_channel(running.grpc) as channel:
        iris = IrisClient(channel)
        iris.stub.Predict = channel.unary_unary("/iris.v1.IrisService/Guess", Features.SerializeToString)
        with pytest.raises(PredictionError) as raised:
            iris.predict(FLOWER)
    assert raised.value.code is grpc.StatusCode.UNIMPLEMENTED
