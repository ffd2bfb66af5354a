"""Everything that waits is visited until it leaves, and nobody walks when nothing waits."""

from collections.abc import Callable
from typing import Any

from rest_bridge.http.shared_timer import SharedTimer


class Loop:
    """Keeps what it shall call later until it is told that later is now."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def call_later(self, _seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        self.later.append(lambda: call(*arguments))

    def round(self) -> None:
        (call,) = self.later
        self.later.clear()
        call()


def test_what_waits_is_visited_until_it_leaves() -> None:
    loop: Any = Loop()
    visited: list[str] = []
    rounds = SharedTimer(visited.append)
    rounds.enter("a", loop)
    rounds.enter("b", loop)
    loop.round()
    assert sorted(visited) == ["a", "b"]
    rounds.leave("a")
    loop.round()
    assert visited[2:] == ["b"]
    rounds.leave("b")
    loop.round()
    assert len(visited) == 3
    assert loop.later == []
    rounds.enter("c", loop)
    loop.round()
    assert visited[3:] == ["c"]


def test_what_is_visited_may_leave() -> None:
    loop: Any = Loop()
    rounds: SharedTimer[str] = SharedTimer(lambda one: rounds.leave(one))
    rounds.enter("a", loop)
    rounds.enter("b", loop)
    loop.round()
    assert loop.later == []
