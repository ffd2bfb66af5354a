"""Requests that wait go together: each caller gets its own answer or its own failure, once, whatever happens to the others."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract
from rest_bridge.caller import Answer
from rest_bridge.coalescer import MOST_OUT, MOST_ROWS, Coalescer
from rest_bridge.http.version_selector import NOTHING, VersionSelector
from tests.support.effort import tries
from tests.support.iris import EXAMPLE
from tests.support.servers.fake_channel import rpc_error

HEADERS = [(b"model-name", b"iris")]
POISON = 0.625
"""A row that passes the rules and breaks the model."""


class Server:
    """Answers rows and batches with the first feature as setosa's probability, when it is let go."""

    def __init__(self, contract: Contract, *, alone: bool = False) -> None:
        """`alone` is how requests came of late."""
        self.row, self.batch = contract.services[0].methods[:2]
        self.sent: list[int] = []
        """Rows of each call, in order; a unary call has one."""
        self.identities: list[str] = []
        self.choices: list[VersionSelector] = []
        """What each call chooses."""
        self.go = asyncio.Event()
        self.cancelled = 0
        self.answers: int | None = None
        """Most answers of a batch."""
        self.fails: Callable[[list[float]], grpc.aio.AioRpcError | None] = lambda _rows: None
        self.coalescer = Coalescer(self._unary, self._batch, self.batch, contract.rules)
        self.coalescer._solitude.note(alone)

    async def ask(self, value: float | None, seconds: float = 10.0, choice: VersionSelector = NOTHING) -> float:
        message = self.row.request(**EXAMPLE | {"sepal_length": value})
        answer = await self.coalescer(message.SerializeToString(), seconds, f"id-{value}", choice)
        assert answer.headers == HEADERS
        read: Any = self.row.response.FromString(answer.message)
        return float(read.setosa_probability)

    async def _unary(self, message: bytes, seconds: float, identity: str, choice: VersionSelector) -> Answer:
        self.identities.append(identity)
        self.choices.append(choice)
        (value,) = await self._work([self.row.request.FromString(message)])
        return Answer(self.row.response(setosa_probability=value).SerializeToString(), HEADERS)

    async def _batch(self, message: bytes, seconds: float, identity: str, choice: VersionSelector) -> Answer:
        self.choices.append(choice)
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


async def settled(calls: list[Any]) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)


async def started(server: Server, calls: list[Any]) -> list[asyncio.Task[Any]]:
    """Tasks that have come as far as they can without the server."""
    tasks = [asyncio.create_task(call) for call in calls]
    for _ in range(6):
        await asyncio.sleep(0)
    return tasks


async def test_a_lone_request_goes_alone_and_at_once(contract: Contract) -> None:
    server = Server(contract)
    server.go.set()
    assert [await server.ask(value) for value in (0.1, 0.2, 0.3)] == [0.1, 0.2, 0.3]
    assert server.sent == [1, 1, 1]
    assert server.identities == ["id-0.1", "id-0.2", "id-0.3"]


async def test_requests_of_one_moment_go_together(contract: Contract) -> None:
    server = Server(contract)
    server.go.set()
    values = [number / 100 for number in range(40)]
    assert await settled([server.ask(value) for value in values]) == values
    assert server.sent == [40]


async def test_after_lone_ones_the_first_is_sent_at_once_and_the_others_together(contract: Contract) -> None:
    server = Server(contract, alone=True)
    first, *others = [asyncio.create_task(server.ask(number / 10)) for number in range(5)]
    await asyncio.sleep(0)
    assert server.sent == [1]
    server.go.set()
    assert await settled([first, *others]) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert server.sent == [1, 4]


async def test_after_company_the_first_waits_for_the_others_until_several_were_alone(contract: Contract) -> None:
    server = Server(contract, alone=True)
    values = [number / 10 for number in range(5)]
    for lone, sent in ((0, [1, 4]), (0, [5]), (3, [1, 1, 1, 5]), (4, [1, 1, 1, 1, 1, 4])):
        server.go.set()
        for value in values[:lone]:
            await server.ask(value)
        server.go.clear()
        calls = await started(server, [server.ask(value) for value in values])
        server.go.set()
        assert await settled(calls) == values
        assert server.sent == sent
        server.sent.clear()


async def test_rows_that_choose_differently_never_go_together(contract: Contract) -> None:
    server = Server(contract)
    server.go.set()
    kinds: list[VersionSelector] = [NOTHING, (("model-version", "1"),), (("model-version", "2"),)]
    choices = [kinds[number // 10 % 3] for number in range(60)] + [kinds[number % 3] for number in range(9)]
    values = [number / 100 for number in range(len(choices))]
    asked = [server.ask(value, choice=choice) for value, choice in zip(values, choices, strict=True)]
    assert await settled(asked) == values
    assert server.sent == [10] * 6 + [1] * 9
    assert server.choices == kinds * 5


async def busy(server: Server) -> list[asyncio.Task[Any]]:
    """As many calls out as may be."""
    return [task for number in range(MOST_OUT) for task in await started(server, [server.ask(number / 10)])]


async def test_requests_that_wait_go_together(contract: Contract) -> None:
    server = Server(contract)
    out = await busy(server)
    values = [number / 100 for number in range(40)]
    tasks = await started(server, [server.ask(value) for value in values])
    assert server.sent == [1] * MOST_OUT
    server.go.set()
    assert await settled(tasks) == values
    await settled(out)
    assert server.sent == [1] * MOST_OUT + [40]


async def test_more_than_go_together_are_several_calls(contract: Contract) -> None:
    server = Server(contract)
    out = await busy(server)
    tasks = await started(server, [server.ask(number / 1024) for number in range(MOST_ROWS + 2)])
    server.go.set()
    assert await settled(tasks) == [number / 1024 for number in range(MOST_ROWS + 2)]
    await settled(out)
    assert server.sent == [1] * MOST_OUT + [MOST_ROWS, 2]


async def test_a_row_that_breaks_the_rules_goes_alone(contract: Contract) -> None:
    server = Server(contract)
    out = await busy(server)
    tasks = await started(server, [server.ask(value) for value in (0.3, None, 7.0, 0.4)])
    assert server.sent == [1] * (MOST_OUT + 2)
    server.go.set()
    assert (await settled(tasks))[3] == 0.4
    await settled(out)
    assert server.sent == [1] * (MOST_OUT + 2) + [2]


async def test_a_row_that_breaks_the_model_fails_alone(contract: Contract) -> None:
    server = Server(contract)
    server.fails = poison
    values = [0.0, 0.1, 0.2, POISON, 0.3]
    tasks = await started(server, [server.ask(value) for value in values])
    server.go.set()
    outcomes = await settled(tasks)
    assert isinstance(outcomes.pop(3), grpc.aio.AioRpcError)
    assert outcomes == [0.0, 0.1, 0.2, 0.3]
    assert server.sent == [5, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_what_no_row_caused_is_told_to_all_and_not_tried_again(contract: Contract, code: grpc.StatusCode) -> None:
    server = Server(contract)
    server.fails = lambda values: rpc_error(code, "away") if len(values) > 1 else None
    tasks = await started(server, [server.ask(value / 10) for value in range(6)])
    server.go.set()
    assert [outcome.code() for outcome in await settled(tasks)] == [code] * 6
    assert server.sent == [6]


async def test_a_caller_who_leaves_takes_nobody_along(contract: Contract) -> None:
    server = Server(contract)
    out = await busy(server)
    tasks = await started(server, [server.ask(value / 10) for value in range(8)])
    for task in tasks[::2]:
        task.cancel()
    server.go.set()
    outcomes = await settled(tasks)
    assert outcomes[1::2] == [0.1, 0.3, 0.5, 0.7]
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    await settled(out)
    assert server.sent == [1] * MOST_OUT + [4]


async def test_a_lone_caller_who_leaves_cancels_the_call_and_makes_room(contract: Contract) -> None:
    server = Server(contract)
    for _ in range(MOST_OUT + 1):
        (task,) = await started(server, [server.ask(0.1)])
        task.cancel()
        await settled([task])
    assert server.sent == [1] * (MOST_OUT + 1)
    assert server.cancelled == MOST_OUT + 1


async def test_an_answer_that_is_not_one_is_everybodys_failure_at_once(contract: Contract) -> None:
    server = Server(contract)
    server.answers = 1
    server.go.set()
    outcomes = await settled([server.ask(value / 10) for value in range(3)])
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3


async def test_each_caller_keeps_its_own_deadline(contract: Contract) -> None:
    server = Server(contract)
    tasks = await started(server, [server.ask(0.1), server.ask(0.2), server.ask(0.3, 0.02), server.ask(0.4)])
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await tasks[2]
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    server.go.set()
    assert await settled([tasks[0], tasks[1], tasks[3]]) == [0.1, 0.2, 0.4]


fates = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, POISON]), st.booleans(), st.integers(0, 3)), max_size=40)


@settings(deadline=None, max_examples=tries(25, 1000))
@given(fates, st.booleans())
def test_under_any_arrival_cancellation_and_failure_everybody_gets_their_own(
    contract: Contract, wanted: list[Any], alone: bool
) -> None:
    async def scenario() -> None:
        server = Server(contract, alone=alone)
        server.fails = poison
        tasks = []
        for number, (value, cancelled, pause) in enumerate(wanted):
            tasks.append(asyncio.create_task(server.ask(value)))
            for _ in range(pause):
                await asyncio.sleep(0)
            if cancelled:
                tasks[-1].cancel()
            if number == len(wanted) // 2:
                server.go.set()
        server.go.set()
        for (value, cancelled, _), outcome in zip(wanted, await settled(tasks), strict=True):
            if isinstance(outcome, asyncio.CancelledError):
                assert cancelled
            elif value == POISON:
                assert outcome.code() is grpc.StatusCode.INTERNAL
            else:
                assert outcome == value
        assert await asyncio.wait_for(server.ask(0.75), 10) == 0.75

    asyncio.run(scenario())
