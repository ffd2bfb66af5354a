"""Coalesced requests: each caller gets its own answer or failure, exactly once, whatever happens to the others."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract
from rest_bridge.channel import Answer
from rest_bridge.coalescer import MAX_CALLS, MAX_ROWS, Coalescer
from rest_bridge.http.request_headers import NO_SELECTOR, VersionSelector
from tests.support.effort import tries
from tests.support.iris import EXAMPLE
from tests.support.servers.fake_channel import rpc_error

HEADERS = [(b"model-name", b"iris")]
POISON = 0.625
"""Value of a row that keeps the rules and makes the model fail."""


class Server:
    """Answers rows and batches with the first feature as setosa's probability, once `go` is set."""

    def __init__(self, contract: Contract, *, alone: bool = False) -> None:
        """`alone`: whether the last requests were alone."""
        self.row, self.batch = contract.services[0].methods[:2]
        self.sent: list[int] = []
        """Number of rows of each call."""
        self.identities: list[str] = []
        self.selectors: list[VersionSelector] = []
        """Selector of each call."""
        self.go = asyncio.Event()
        self.cancelled = 0
        self.answers: int | None = None
        """Number of answers in a batch; None for all."""
        self.fails: Callable[[list[float]], grpc.aio.AioRpcError | None] = lambda _rows: None
        self.coalescer = Coalescer(self._unary, self._batch, self.batch, contract.rules)
        self.coalescer.lone_requests.note(alone)

    async def predict(self, value: float | None, seconds: float = 10.0, selector: VersionSelector = NO_SELECTOR) -> float:
        message = self.row.request(**EXAMPLE | {"sepal_length": value})
        answer = await self.coalescer(message.SerializeToString(), seconds, f"id-{value}", selector)
        assert answer.headers == HEADERS
        response: Any = self.row.response.FromString(answer.message)
        return float(response.setosa_probability)

    async def _unary(self, message: bytes, seconds: float, identity: str, selector: VersionSelector) -> Answer:
        self.identities.append(identity)
        self.selectors.append(selector)
        (value,) = await self._work([self.row.request.FromString(message)])
        return Answer(self.row.response(setosa_probability=value).SerializeToString(), HEADERS)

    async def _batch(self, message: bytes, seconds: float, identity: str, selector: VersionSelector) -> Answer:
        self.selectors.append(selector)
        request: Any = self.batch.request.FromString(message)
        answers = [self.row.response(setosa_probability=value) for value in await self._work(request.rows)]
        return Answer(self.batch.response(rows=answers[: self.answers]).SerializeToString(), HEADERS)

    async def _work(self, rows: Any) -> list[float]:
        values = [row.sepal_length for row in rows]
        self.sent.append(len(values))
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        failure = self.fails(values)
        if failure is not None:
            raise failure
        return values


def poison(values: list[float]) -> grpc.aio.AioRpcError | None:
    return rpc_error(grpc.StatusCode.INTERNAL, "boom") if POISON in values else None


async def outcomes_of(calls: list[Any]) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)


async def started(server: Server, calls: list[Any]) -> list[asyncio.Task[Any]]:
    """Tasks that wait for the server."""
    tasks = [asyncio.create_task(call) for call in calls]
    for _ in range(6):
        await asyncio.sleep(0)
    return tasks


async def test_lone_request_is_sent_at_once(contract: Contract) -> None:
    server = Server(contract)
    server.go.set()
    assert [await server.predict(value) for value in (0.1, 0.2, 0.3)] == [0.1, 0.2, 0.3]
    assert server.sent == [1, 1, 1]
    assert server.identities == ["id-0.1", "id-0.2", "id-0.3"]


async def test_simultaneous_requests_share_a_batch(contract: Contract) -> None:
    server = Server(contract)
    server.go.set()
    values = [number / 100 for number in range(40)]
    assert await outcomes_of([server.predict(value) for value in values]) == values
    assert server.sent == [40]


async def test_first_after_lone_ones_does_not_wait(contract: Contract) -> None:
    server = Server(contract, alone=True)
    first, *others = [asyncio.create_task(server.predict(number / 10)) for number in range(5)]
    await asyncio.sleep(0)
    assert server.sent == [1]
    server.go.set()
    assert await outcomes_of([first, *others]) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert server.sent == [1, 4]


async def test_detector_needs_several_lone_requests(contract: Contract) -> None:
    server = Server(contract, alone=True)
    values = [number / 10 for number in range(5)]
    for lone, sent in ((0, [1, 4]), (0, [5]), (3, [1, 1, 1, 5]), (4, [1, 1, 1, 1, 1, 4])):
        server.go.set()
        for value in values[:lone]:
            await server.predict(value)
        server.go.clear()
        calls = await started(server, [server.predict(value) for value in values])
        server.go.set()
        assert await outcomes_of(calls) == values
        assert server.sent == sent
        server.sent.clear()


async def test_selectors_never_share_a_batch(contract: Contract) -> None:
    server = Server(contract)
    server.go.set()
    kinds: list[VersionSelector] = [NO_SELECTOR, (("model-version", "1"),), (("model-version", "2"),)]
    selectors = [kinds[number // 10 % 3] for number in range(60)] + [kinds[number % 3] for number in range(9)]
    values = [number / 100 for number in range(len(selectors))]
    calls = [server.predict(value, selector=selector) for value, selector in zip(values, selectors, strict=True)]
    assert await outcomes_of(calls) == values
    assert server.sent == [10] * 6 + [1] * 9
    assert server.selectors == kinds * 5


async def busy(server: Server) -> list[asyncio.Task[Any]]:
    """Tasks with as many calls in flight as possible."""
    return [task for number in range(MAX_CALLS) for task in await started(server, [server.predict(number / 10)])]


async def test_queued_requests_share_a_batch(contract: Contract) -> None:
    server = Server(contract)
    in_flight = await busy(server)
    values = [number / 100 for number in range(40)]
    tasks = await started(server, [server.predict(value) for value in values])
    assert server.sent == [1] * MAX_CALLS
    server.go.set()
    assert await outcomes_of(tasks) == values
    await outcomes_of(in_flight)
    assert server.sent == [1] * MAX_CALLS + [40]


async def test_long_queue_is_split(contract: Contract) -> None:
    server = Server(contract)
    in_flight = await busy(server)
    tasks = await started(server, [server.predict(number / 1024) for number in range(MAX_ROWS + 2)])
    server.go.set()
    assert await outcomes_of(tasks) == [number / 1024 for number in range(MAX_ROWS + 2)]
    await outcomes_of(in_flight)
    assert server.sent == [1] * MAX_CALLS + [MAX_ROWS, 2]


async def test_invalid_row_is_sent_alone(contract: Contract) -> None:
    server = Server(contract)
    in_flight = await busy(server)
    tasks = await started(server, [server.predict(value) for value in (0.3, None, 7.0, 0.4)])
    assert server.sent == [1] * (MAX_CALLS + 2)
    server.go.set()
    assert (await outcomes_of(tasks))[3] == 0.4
    await outcomes_of(in_flight)
    assert server.sent == [1] * (MAX_CALLS + 2) + [2]


async def test_row_that_fails_the_model_fails_alone(contract: Contract) -> None:
    server = Server(contract)
    server.fails = poison
    values = [0.0, 0.1, 0.2, POISON, 0.3]
    tasks = await started(server, [server.predict(value) for value in values])
    server.go.set()
    outcomes = await outcomes_of(tasks)
    assert isinstance(outcomes.pop(3), grpc.aio.AioRpcError)
    assert outcomes == [0.0, 0.1, 0.2, 0.3]
    assert server.sent == [5, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_server_failure_is_not_retried(contract: Contract, code: grpc.StatusCode) -> None:
    server = Server(contract)
    server.fails = lambda values: rpc_error(code, "away") if len(values) > 1 else None
    tasks = await started(server, [server.predict(value / 10) for value in range(6)])
    server.go.set()
    assert [outcome.code() for outcome in await outcomes_of(tasks)] == [code] * 6
    assert server.sent == [6]


async def test_cancelled_row_leaves_the_batch(contract: Contract) -> None:
    server = Server(contract)
    in_flight = await busy(server)
    tasks = await started(server, [server.predict(value / 10) for value in range(8)])
    for task in tasks[::2]:
        task.cancel()
    server.go.set()
    outcomes = await outcomes_of(tasks)
    assert outcomes[1::2] == [0.1, 0.3, 0.5, 0.7]
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    await outcomes_of(in_flight)
    assert server.sent == [1] * MAX_CALLS + [4]


async def test_cancelled_lone_row_cancels_its_call(contract: Contract) -> None:
    server = Server(contract)
    for _ in range(MAX_CALLS + 1):
        (task,) = await started(server, [server.predict(0.1)])
        task.cancel()
        await outcomes_of([task])
    assert server.sent == [1] * (MAX_CALLS + 1)
    assert server.cancelled == MAX_CALLS + 1


async def test_wrong_number_of_answers_fails_all(contract: Contract) -> None:
    server = Server(contract)
    server.answers = 1
    server.go.set()
    outcomes = await outcomes_of([server.predict(value / 10) for value in range(3)])
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3


async def test_each_row_has_its_own_deadline(contract: Contract) -> None:
    server = Server(contract)
    tasks = await started(server, [server.predict(0.1), server.predict(0.2), server.predict(0.3, 0.02), server.predict(0.4)])
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await tasks[2]
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    server.go.set()
    assert await outcomes_of([tasks[0], tasks[1], tasks[3]]) == [0.1, 0.2, 0.4]


fates = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, POISON]), st.booleans(), st.integers(0, 3)), max_size=40)


@settings(deadline=None, max_examples=tries(25, 1000))
@given(fates, st.booleans())
def test_any_schedule_gives_each_its_answer(contract: Contract, wanted: list[Any], alone: bool) -> None:
    async def scenario() -> None:
        server = Server(contract, alone=alone)
        server.fails = poison
        tasks = []
        for number, (value, cancelled, pause) in enumerate(wanted):
            tasks.append(asyncio.create_task(server.predict(value)))
            for _ in range(pause):
                await asyncio.sleep(0)
            if cancelled:
                tasks[-1].cancel()
            if number == len(wanted) // 2:
                server.go.set()
        server.go.set()
        for (value, cancelled, _), outcome in zip(wanted, await outcomes_of(tasks), strict=True):
            if isinstance(outcome, asyncio.CancelledError):
                assert cancelled
            elif value == POISON:
                assert outcome.code() is grpc.StatusCode.INTERNAL
            else:
                assert outcome == value
        assert await asyncio.wait_for(server.predict(0.75), 10) == 0.75

    asyncio.run(scenario())
