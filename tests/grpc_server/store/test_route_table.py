"""Route tables: the result of each change, and how far back a rollback goes."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from grpc_server.errors import ChangeRefused
from grpc_server.store.route_table import MOST_CHANGES, PRODUCTION, Attribution, Canary, RouteTable
from tests.support.effort import tries

AUTHOR = Attribution("kim", "because", datetime(2026, 1, 2, tzinfo=UTC))


def promoted(*versions: str, routes: RouteTable | None = None) -> RouteTable:
    routes = routes or RouteTable()
    for version in versions:
        routes = routes.promote(version, PRODUCTION, AUTHOR)
    return routes


def test_promotion_makes_next_generation() -> None:
    routes = RouteTable().promote("3", PRODUCTION, AUTHOR, "2").promote("4", "staging", AUTHOR)
    assert (routes.generation, routes.aliases, routes.serving_versions) == (2, {"production": "3", "staging": "4"}, ("3", "4"))
    assert routes.model_dump(mode="json")["history"][0] == {
        "generation": 1,
        "when": "2026-01-02T00:00:00Z",
        "who": "kim",
        "why": "because",
        "what": "promote",
        "alias": "production",
        "from": "2",
        "to": "3",
        "share": None,
    }
    assert RouteTable.model_validate_json(routes.model_dump_json()) == routes


def test_rollbacks_go_back_step_by_step() -> None:
    routes = promoted("1", "2", "3")
    for expected in ("2", "1"):
        routes = routes.rollback(PRODUCTION, AUTHOR)
        assert routes.aliases[PRODUCTION] == expected
    with pytest.raises(ChangeRefused, match="no earlier version to roll back to"):
        routes.rollback(PRODUCTION, AUTHOR)
    assert promoted("5", routes=routes).rollback(PRODUCTION, AUTHOR).aliases[PRODUCTION] == "1"


def test_first_promotion_can_be_rolled_back() -> None:
    routes = RouteTable().promote("3", PRODUCTION, AUTHOR, "2").rollback(PRODUCTION, AUTHOR)
    assert routes.aliases == {PRODUCTION: "2"}


def test_repeated_promotion_is_no_rollback_target() -> None:
    routes = promoted("1", "2", "2")
    assert routes.last_named_in("2") == 3
    assert routes.rollback(PRODUCTION, AUTHOR).aliases[PRODUCTION] == "1"


def test_rollback_skips_versions_that_never_answered() -> None:
    routes = promoted("1", "2").promote("3", PRODUCTION, AUTHOR, "1")  # No server followed the promotion of 2.
    assert [change.before for change in routes.history] == [None, "1", "1"]
    assert routes.rollback(PRODUCTION, AUTHOR).aliases[PRODUCTION] == "1"


@pytest.mark.parametrize(
    ("refused", "answers", "then"),
    [
        (lambda routes: routes.promote("4", PRODUCTION, AUTHOR), "3", "2"),
        (lambda routes: routes.promote("2", PRODUCTION, AUTHOR), "3", "2"),
        (lambda routes: routes.rollback(PRODUCTION, AUTHOR), "3", "1"),
        (lambda routes: routes.with_canary("4", 0.1, AUTHOR), "3", "2"),
    ],
    ids=["promote", "promote-earlier", "rollback", "canary"],
)
def test_undo_restores_the_routes_before(refused: Callable[[RouteTable], RouteTable], answers: str, then: str) -> None:
    earlier = promoted("1", "2", "3").with_canary("1", 0.05, AUTHOR).retire("5", AUTHOR)
    undone = refused(earlier).undo(earlier, AUTHOR)
    assert (undone.aliases, undone.canary, undone.retired) == ({PRODUCTION: answers}, earlier.canary, ("5",))
    assert (undone.history[-1].what, undone.generation) == ("undo", earlier.generation + 2)
    assert undone.rollback(PRODUCTION, AUTHOR).aliases[PRODUCTION] == then


def test_undone_first_promotion_leaves_no_alias() -> None:
    earlier = promoted("1")
    assert earlier.promote("2", "staging", AUTHOR).undo(earlier, AUTHOR).aliases == {PRODUCTION: "1"}


def test_aliases_roll_back_independently() -> None:
    routes = promoted("1", "2").promote("3", "staging", AUTHOR).promote("4", "staging", AUTHOR)
    assert routes.rollback("staging", AUTHOR).aliases == {PRODUCTION: "2", "staging": "3"}
    with pytest.raises(ChangeRefused, match="shadowy has no earlier version"):
        routes.rollback("shadowy", AUTHOR)


def test_rollback_skips_retired_version() -> None:
    routes = promoted("1", "2", "3").promote("2", "staging", AUTHOR).with_canary("2", 0.5, AUTHOR).retire("2", AUTHOR)
    assert (routes.serving_versions, routes.retired, routes.canary) == (("3",), ("2",), None)
    assert routes.rollback(PRODUCTION, AUTHOR).aliases == {PRODUCTION: "1"}
    assert promoted("2", routes=routes).retired == ()


def test_production_and_retired_cannot_be_retired() -> None:
    routes = promoted("1", "2")
    with pytest.raises(ChangeRefused, match="version 2 is production: promote another one first"):
        routes.retire("2", AUTHOR)
    with pytest.raises(ChangeRefused, match="version 1 is retired already"):
        routes.retire("1", AUTHOR).retire("1", AUTHOR)


def test_canary_lasts_until_end_or_promotion() -> None:
    routes = promoted("1").with_canary("2", 0.05, AUTHOR)
    assert (routes.canary, routes.serving_versions, routes.last_named_in("2")) == (Canary(version="2", share=0.05), ("1", "2"), 2)
    assert routes.promote("3", PRODUCTION, AUTHOR).canary == routes.canary
    assert routes.promote("2", "staging", AUTHOR).canary == routes.canary
    assert routes.promote("2", PRODUCTION, AUTHOR).canary is None
    ended = routes.without_canary(AUTHOR)
    assert (ended.canary, ended.history[-1].before, ended.history[-1].share) == (None, "2", 0)
    for refused in (
        lambda: ended.without_canary(AUTHOR),
        lambda: routes.with_canary("1", 0.5, AUTHOR),
        lambda: routes.with_canary("2", 0.0, AUTHOR),
        lambda: routes.with_canary("2", 1.5, AUTHOR),
    ):
        with pytest.raises(ChangeRefused):
            refused()


def test_shadow_lasts_until_end_or_promotion() -> None:
    routes = promoted("1").with_shadow("2", AUTHOR)
    assert (routes.shadow, routes.serving_versions, routes.last_named_in("2")) == ("2", ("1",), 2)
    assert routes.promote("2", PRODUCTION, AUTHOR).shadow is None
    assert routes.retire("2", AUTHOR).shadow is None
    ended = routes.without_shadow(AUTHOR)
    assert (ended.shadow, ended.history[-1].before, ended.history[-1].after) == (None, "2", None)
    for refused in (lambda: ended.without_shadow(AUTHOR), lambda: routes.with_shadow("1", AUTHOR)):
        with pytest.raises(ChangeRefused):
            refused()


def test_bounded_history_allows_rollback() -> None:
    routes = promoted(*(str(1 + number % 2) for number in range(MOST_CHANGES + 10)))
    assert len(routes.history) == MOST_CHANGES
    assert routes.generation == MOST_CHANGES + 10
    assert routes.rollback(PRODUCTION, AUTHOR).aliases[PRODUCTION] == "1"


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"aliases": {"production": "01"}},
        {"aliases": {"PRODUCTION": "1"}},
        {"canary": {"version": "1", "share": 0}},
        {"canary": {"version": "1", "share": 1.1}},
        {"canary": {"version": "../1", "share": 0.5}},
        {"unknown": 1},
    ],
)
def test_invalid_route_table_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RouteTable.model_validate(promoted("1").model_dump() | change)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("promote"), st.sampled_from("1234"), st.sampled_from([PRODUCTION, "staging"])),
        st.tuples(st.just("rollback"), st.just(""), st.sampled_from([PRODUCTION, "staging"])),
        st.tuples(st.just("retire"), st.sampled_from("1234"), st.just("")),
    ),
    max_size=30,
)


@settings(max_examples=tries(30, 2000), deadline=None)
@given(STEPS)
def test_random_changes_keep_invariants(steps: list[tuple[str, str, str]]) -> None:
    routes = RouteTable()
    for what, version, alias in steps:
        before = routes
        try:
            match what:
                case "promote":
                    routes = routes.promote(version, alias, AUTHOR)
                    earlier = before.aliases.get(alias)
                    if earlier not in (None, version, *routes.retired):
                        assert routes.rollback(alias, AUTHOR).aliases == before.aliases
                case "rollback":
                    routes = routes.rollback(alias, AUTHOR)
                case "retire":
                    routes = routes.retire(version, AUTHOR)
        except ChangeRefused:
            assert routes is before
            continue
        assert routes.generation == before.generation + 1
        assert routes.history[:-1] == before.history
        assert not set(routes.aliases.values()) & set(routes.retired)
        assert RouteTable.model_validate_json(routes.model_dump_json()) == routes
