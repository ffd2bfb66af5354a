"""Each added object is visited until it is removed; an empty timer does not tick."""

from collections.abc import Callable
from typing import Any

from rest_bridge.http.shared_timer import SharedTimer


class Loop:
    """Collects what it is asked to call later."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def call_later(self, _seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        self.later.append(lambda: call(*arguments))

    def tick(self) -> None:
        (call,) = self.later
        self.later.clear()
        call()


def test_objects_are_visited_until_removed() -> None:
    loop: Any = Loop()
    visited: list[str] = []
    timer = SharedTimer(visited.append)
    timer.add("a", loop)
    timer.add("b", loop)
    loop.tick()
    assert sorted(visited) == ["a", "b"]
    timer.remove("a")
    loop.tick()
    assert visited[2:] == ["b"]
    timer.remove("b")
    loop.tick()
    assert len(visited) == 3
    assert loop.later == []
    timer.add("c", loop)
    loop.tick()
    assert visited[3:] == ["c"]


def test_visit_may_remove_its_object() -> None:
    loop: Any = Loop()
    timer: SharedTimer[str] = SharedTimer(lambda one: timer.remove(one))
    timer.add("a", loop)
    timer.add("b", loop)
    loop.tick()
    assert loop.later == []
