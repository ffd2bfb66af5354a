"""Bad bodies: each gets one refusal that lists every problem, bounded in size."""

import json
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract
from rest_bridge.app import create_app
from rest_bridge.json.codec import Codec
from rest_bridge.json.request_problems import RequestProblems, RequestRefused
from rest_bridge.json.strict_reader import read_document
from rest_bridge.settings import BridgeSettings
from tests.support.effort import tries
from tests.support.iris import COLUMNS, EXAMPLE
from tests.support.servers.fake_channel import FakeChannel

RANGE = "must be greater than or equal to 0 and less than or equal to 1"


async def refusal(contract: Contract, body: bytes | str, path: str = "/predict") -> dict[str, Any]:
    """The body of the bridge's own 422, for which the server is not called."""
    channel = FakeChannel(lambda _: AssertionError("called"))
    app = create_app(contract, channel, BridgeSettings())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
        response = await http.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert channel.calls == []
    assert len(response.content) < 16_384
    answer: dict[str, Any] = response.json()
    return answer


async def problems(contract: Contract, body: bytes | str, path: str = "/predict") -> set[tuple[str, tuple[str | int, ...]]]:
    return {(entry["type"], tuple(entry["loc"][1:])) for entry in (await refusal(contract, body, path))["detail"]}


def with_(**change: Any) -> str:
    return json.dumps(EXAMPLE | change)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b"", "cut off at character 0", id="empty"),
        pytest.param(b"{", "cut off at character 1", id="cut"),
        pytest.param(b"{} {}", "cut off at character 3", id="two"),
        pytest.param(b'{"petal_width": NaN}', "NaN is not a JSON number", id="nan"),
        pytest.param(b'{"petal_width": -Infinity}', "-Infinity is not a JSON number", id="infinity"),
        pytest.param(b'{"petal_width": 0.5,}', "not JSON", id="trailing-comma"),
        pytest.param(b"{'petal_width': 0.5}", "not JSON", id="single-quotes"),
        pytest.param(b'\xff{"petal_width": 1}', "not UTF-8: byte 0", id="not-utf8"),
        pytest.param(json.dumps(EXAMPLE).encode("utf-16"), "not UTF-8: byte 0", id="utf-16"),
        pytest.param(b"\xef\xbb\xbf", "cut off at character 0", id="bom"),
        pytest.param(b"[" * 250_000, "nested too deeply", id="deep"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply", id="deep-objects"),
        pytest.param(b"9" * 5_000, "too many digits", id="digits"),
    ],
)
async def test_invalid_json_is_one_problem(contract: Contract, body: bytes, text: str) -> None:
    (entry,) = (await refusal(contract, body))["detail"]
    assert (entry["type"], entry["loc"]) == ("json_invalid", ["body"])
    assert text in entry["msg"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("null", {("object_type", ())}, id="null"),
        pytest.param("[]", {("object_type", ())}, id="list"),
        pytest.param("0.5", {("object_type", ())}, id="number"),
        pytest.param(with_(petal_width=True), {("float_type", ("petal_width",))}, id="true"),
        pytest.param(with_(petal_width="1"), {("float_type", ("petal_width",))}, id="text"),
        pytest.param(with_(petal_width="NaN"), {("float_type", ("petal_width",))}, id="nan-text"),
        pytest.param(with_(petal_width=[1]), {("float_type", ("petal_width",))}, id="list-value"),
        pytest.param(with_(petal_width={}), {("float_type", ("petal_width",))}, id="object-value"),
        pytest.param(with_(petal_width=10**400), {("finite_number", ("petal_width",))}, id="huge-integer"),
        pytest.param(with_().replace("1.0", "1e400"), {("finite_number", ("petal_width",))}, id="overflow"),
        pytest.param(with_(petal=1), {("unknown_field", ("petal",))}, id="unknown"),
        pytest.param(with_(**{"\ud800": 1}), {("unknown_field", ("\ud800",))}, id="surrogate"),
        pytest.param('{"petal_width": 1, ' + with_()[1:], {("repeated_field", ("petal_width",))}, id="twice"),
        pytest.param(with_(x={"a": 1}), {("unknown_field", ("x",))}, id="unknown-object"),
        pytest.param(
            json.dumps({"petalWidth": 7, "sepal_width": "x", "petal_length": 3, "sepal_length": None}),
            {
                ("unknown_field", ("petalWidth",)),
                ("float_type", ("sepal_width",)),
                ("double.gte_lte", ("petal_length",)),
                ("required", ("sepal_length",)),
                ("required", ("petal_width",)),
            },
            id="everything",
        ),
    ],
)
async def test_refusal_lists_every_problem(contract: Contract, body: str, expected: set[Any]) -> None:
    assert await problems(contract, body) == expected


async def test_lower_camel_name_is_corrected(contract: Contract) -> None:
    (entry,) = [e for e in (await refusal(contract, with_(petalWidth=1.0)))["detail"] if e["type"] == "unknown_field"]
    assert entry["msg"] == 'is not a field; did you mean "petal_width"?'


async def test_problems_name_their_rows(contract: Contract) -> None:
    body = json.dumps({"rows": [EXAMPLE, 3, EXAMPLE | {"petal_width": 2}, None, EXAMPLE | {"x": 1}, []]})
    assert await problems(contract, body, "/predict/batch") == {
        ("object_type", ("rows", 1)),
        ("double.gte_lte", ("rows", 2, "petal_width")),
        ("null_item", ("rows", 3)),
        ("unknown_field", ("rows", 4, "x")),
        ("object_type", ("rows", 5)),
    }


async def test_rows_must_be_a_list(contract: Contract) -> None:
    assert await problems(contract, '{"rows": {"0": 1}}', "/predict/batch") == {("list_type", ("rows",))}


async def test_flood_of_problems_gets_a_small_refusal(contract: Contract) -> None:
    rows = [EXAMPLE, *({f"colour{i}": "x" * 1000} for i in range(2000))]
    answer = await refusal(contract, json.dumps({"rows": rows}), "/predict/batch")
    assert len(answer["detail"]) == 50
    assert answer["unjudged_rows"] == 2000 - 50


async def test_rows_behind_the_last_problem_are_skipped(contract: Contract) -> None:
    """One row does not fit its message, so the bridge checks the rules of the others."""
    answer = await refusal(contract, json.dumps({"rows": [3, *[{}] * 100]}), "/predict/batch")
    assert 45 <= len(answer["detail"]) <= 50
    assert 85 <= answer["unjudged_rows"] <= 90


async def test_rows_of_a_long_list_are_not_read(contract: Contract) -> None:
    answer = await refusal(contract, '{"x": 1, "rows": [' + "7," * 500_000 + "7]}", "/predict/batch")
    assert [(entry["type"], entry["loc"]) for entry in answer["detail"]] == [
        ("unknown_field", ["body", "x"]),
        ("repeated.max_items", ["body", "rows"]),
    ]


async def test_repeated_name_is_one_problem(contract: Contract) -> None:
    assert await problems(contract, "{" + '"x":1,' * 100_000 + '"x":1}') >= {("repeated_field", ("x",)), ("unknown_field", ("x",))}


async def test_long_names_are_not_echoed(contract: Contract) -> None:
    text = (await refusal(contract, with_(petal_width="x" * 1_000_000, **{"y" * 1_000_000: 1})))["detail"]
    assert {entry["loc"][1] for entry in text} == {"petal_width", "y" * 256 + "..."}
    assert all("input" not in entry for entry in text)


@pytest.mark.parametrize("name", ["y" * 65, "y" * 256, "x" * 200 + "é"], ids=["65", "256", "other-script"])
async def test_whole_name_is_in_loc(contract: Contract, name: str) -> None:
    assert ("unknown_field", (name,)) in await problems(contract, with_(**{name: 1}))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*COLUMNS, "rows", "x", ""]), inner, max_size=5),
    max_leaves=12,
)


@settings(deadline=None, max_examples=tries(50, 3000))
@given(json_values, st.integers(0, 1))
def test_any_document_is_read_or_refused(contract: Contract, document: Any, number: int) -> None:
    method = contract.services[0].methods[number]
    found = RequestProblems()
    message = Codec(method.input, contract.rules).read(document, found)
    assert message.DESCRIPTOR is method.input
    assert found.count >= len(found.found)


@pytest.mark.slow
@settings(deadline=None, max_examples=tries(80, 5000))
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    refusal = None
    try:
        read_document(body)
    except RequestRefused as refused:
        refusal = refused
    assert refusal is None or (refusal.status == 422 and json.loads(bytes(refusal.response().body)))
