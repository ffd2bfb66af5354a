"""One endpoint around a channel that answers as told: what goes in, what comes out, for each way a call can end."""

import asyncio
import gc
import json
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from contract.contract import Contract
from rest_bridge.app import create_app
from rest_bridge.coalescer import Row
from rest_bridge.guard import Guard
from rest_bridge.hangup import HangUp
from rest_bridge.settings import BridgeSettings
from rest_bridge.translation import HTTP_STATUS
from tests.iris import EXAMPLE
from tests.rest_bridge.channels import HANGS, Answer, FakeChannel, rpc_error

OWN = ErrorInfo(reason="ANY", domain="foretell")


def answered(contract: Contract) -> bytes:
    response: Any = contract.services[0].methods[0].response
    return bytes(response(setosa_probability=0.25, virginica_probability=0.75).SerializeToString())


def client(contract: Contract, answer: Answer, **settings: Any) -> tuple[httpx.AsyncClient, FakeChannel]:
    channel = FakeChannel(answer)
    app = Guard(create_app(contract, channel, BridgeSettings(**settings)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test"), channel


async def post(contract: Contract, answer: Answer, body: Any = EXAMPLE, path: str = "/predict", **options: Any) -> httpx.Response:
    http, _ = client(contract, answer)
    async with http:
        return await http.post(path, json=body, **options)


@pytest.mark.parametrize("path", ["/predict", "/predict/"])
async def test_an_answer_has_the_contracts_names_and_its_zeros(contract: Contract, path: str) -> None:
    http, channel = client(contract, lambda _: answered(contract))
    async with http:
        response = await http.post(path, json=EXAMPLE, headers={"x-request-id": "mine"})
    assert response.status_code == 200
    assert response.json() == {"setosa_probability": 0.25, "versicolor_probability": 0.0, "virginica_probability": 0.75}
    assert response.headers["content-type"] == "application/json"
    labels = {"model-name": "iris", "model-version": "7", "model-generation": "3", "x-request-id": "mine"}
    assert {name: response.headers[name] for name in labels} == labels
    assert "secret" not in response.headers
    (call,) = channel.calls
    assert call["method"] == "/iris.v1.IrisService/Predict"
    assert call["request"] == contract.services[0].methods[0].request(**EXAMPLE).SerializeToString()
    assert call["metadata"] == (("x-request-id", "mine"),)


@pytest.mark.parametrize(
    ("path", "headers", "choice"),
    [
        ("/predict", {"model-version": "2"}, (("model-version", "2"),)),
        ("/predict", {"model-alias": "staging", "routing-key": "kim"}, (("model-alias", "staging"), ("routing-key", "kim"))),
        ("/models/iris/versions/2/predict", {}, (("model-version", "2"),)),
        ("/models/iris/versions/2/predict/", {"routing-key": "kim"}, (("routing-key", "kim"), ("model-version", "2"))),
        ("/models/iris/aliases/staging/predict", {}, (("model-alias", "staging"),)),
        ("/models/iris/aliases/a%20b%C3%A9/predict", {}, 400),
        ("/models/iris/aliases/staging/predict", {"model-alias": "staging"}, (("model-alias", "staging"),)),
        ("/models/iris/versions/2/predict", {"model-alias": "staging"}, (("model-alias", "staging"), ("model-version", "2"))),
        ("/models/iris/versions/2/predict", {"model-version": "1"}, 400),
        ("/predict", {"model-alias": "a b"}, 400),
        ("/predict", {"model-version": b"\xe9"}, 400),
        ("/models/rose/versions/2/predict", {}, 404),
        ("/models/iris/versions/predict", {}, 404),
    ],
)
async def test_a_version_is_chosen_by_a_path_or_by_headers(
    contract: Contract, path: str, headers: dict[str, Any], choice: tuple[tuple[str, str], ...] | int
) -> None:
    http, channel = client(contract, lambda _: answered(contract))
    async with http:
        response = await http.post(path, json=EXAMPLE, headers=headers | {"x-request-id": "mine"})
    if isinstance(choice, int):
        assert response.status_code == choice
        assert response.json()["detail"][0]["type"] == {400: "choice", 404: "not_found"}[choice]
        assert not channel.calls
    else:
        assert response.status_code == 200
        assert channel.calls[0]["metadata"] == (("x-request-id", "mine"), *choice)


@pytest.mark.parametrize("code", list(grpc.StatusCode))
async def test_every_code_has_its_http_status_and_no_library_text(contract: Contract, code: grpc.StatusCode) -> None:
    if code is grpc.StatusCode.OK:
        assert code not in HTTP_STATUS
        return
    response = await post(contract, lambda _: rpc_error(code, "failed to connect: /secret/path 10.0.0.1"))
    assert response.status_code == HTTP_STATUS[code]
    (problem,) = response.json()["detail"]
    assert (problem["type"], problem["loc"]) == (code.name.lower(), [])
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (response.status_code in (429, 503))
    assert response.headers["x-request-id"]


async def test_our_servers_own_words_are_passed_on(contract: Contract) -> None:
    retry = RetryInfo(retry_delay=Duration(seconds=7))
    error = rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "9 rows are waiting", OWN, retry)
    response = await post(contract, lambda _: error)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert response.json() == {"detail": [{"type": "resource_exhausted", "loc": [], "msg": "9 rows are waiting"}]}


async def test_violations_become_fastapis_list(contract: Contract) -> None:
    bad = BadRequest()
    bad.field_violations.add(field="rows[1].petal_width", reason="double.gte_lte", description="must be small")
    info = ErrorInfo(reason="INVALID_FEATURES", domain="foretell", metadata={"violations": "9"})
    rows = {"rows": [EXAMPLE, EXAMPLE | {"petal_width": 1.1}]}
    response = await post(
        contract, lambda _: rpc_error(grpc.StatusCode.INVALID_ARGUMENT, "x", info, bad), rows, path="/predict/batch"
    )
    assert response.status_code == 422
    assert response.json() == {
        "detail": [
            {
                "type": "double.gte_lte",
                "loc": ["body", "rows", 1, "petal_width"],
                "msg": "must be small",
                "input": 1.1,
                "ctx": {"gte": 0.0, "lte": 1.0},
            }
        ],
        "omitted": 8,
    }


async def test_an_unexpected_error_is_an_incident_in_the_log_and_opaque_outside(
    contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    response = await post(contract, lambda _: RuntimeError("secret"))
    assert response.status_code == 500
    (problem,) = response.json()["detail"]
    incident = problem["msg"].split()[4]
    assert problem["msg"] == f"internal error; quote incident {incident} to the operator"
    assert "secret" not in response.text
    traced = [record for record in caplog.records if incident in record.getMessage()]
    assert len(traced) == 1
    assert traced[0].exc_info is not None
    assert (await post(contract, lambda _: answered(contract))).status_code == 200


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30.0),
        ({"x-request-timeout": "2.5"}, 2.5),
        ({"x-request-timeout": "1e-2"}, 0.01),
        ({"x-request-timeout": "999999"}, 60.0),
        ({"grpc-timeout": "250m"}, 0.25),
        ({"grpc-timeout": "2H"}, 60.0),
        ({"grpc-timeout": "250m", "x-request-timeout": "0.1"}, 0.1),
    ],
)
async def test_the_deadline_comes_from_the_headers(contract: Contract, headers: dict[str, str], seconds: float) -> None:
    http, channel = client(contract, lambda _: answered(contract))
    async with http:
        assert (await http.post("/predict", json=EXAMPLE, headers=headers)).status_code == 200
    assert seconds - 5 < channel.calls[0]["timeout"] <= seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-request-timeout", value) for value in ("", "0", "-1", "nan", "inf", "1_0", "5s", "٣", "0x1", " ", "1,5", "1" * 40)]
    + [("grpc-timeout", value) for value in ("", "0S", "5", "S", "5s", "123456789S", "-1S", "1.5S", "٣S")],
)
async def test_a_malformed_deadline_is_refused(contract: Contract, name: str, value: str) -> None:
    http, channel = client(contract, lambda _: answered(contract))
    async with http:
        response = await http.post("/predict", json=EXAMPLE, headers={name: value.encode()})
    assert response.status_code == 400
    (problem,) = response.json()["detail"]
    assert problem["loc"] == ["header", name]
    assert channel.calls == []


async def test_the_deadline_runs_while_the_body_arrives(contract: Contract) -> None:
    async def body() -> Any:
        yield json.dumps(EXAMPLE).encode()
        await asyncio.sleep(0.05)

    http, channel = client(contract, lambda _: answered(contract))
    async with http:
        headers = {"content-type": "application/json", "x-request-timeout": "0.5"}
        await http.post("/predict", content=body(), headers=headers)
    assert channel.calls[0]["timeout"] <= 0.45


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
async def test_compressed_bodies_are_not_taken(contract: Contract, encoding: str) -> None:
    response = await post(contract, lambda _: answered(contract), headers={"content-encoding": encoding})
    assert response.status_code == 415
    assert response.json()["detail"][0]["loc"] == ["header", "content-encoding"]


async def test_a_body_that_is_declared_too_large_is_not_waited_for(contract: Contract) -> None:
    headers = {"content-length": "5000000000"}
    assert (await post(contract, lambda _: answered(contract), headers=headers)).status_code == 413


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json; charset=utf-16", "application/jsonp", "application/x-www-form-urlencoded"]
)
async def test_only_json_is_taken(contract: Contract, kind: str) -> None:
    http, channel = client(contract, lambda _: answered(contract))
    async with http:
        response = await http.post("/predict", content=json.dumps(EXAMPLE), headers={"content-type": kind})
    assert response.status_code == 415
    assert response.headers["accept-post"] == "application/json"
    assert channel.calls == []


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"']
)
async def test_json_may_be_spelt_as_it_likes(contract: Contract, kind: str) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        response = await http.post("/predict", content=json.dumps(EXAMPLE), headers={"content-type": kind})
    assert response.status_code == 200


async def test_a_body_that_is_too_large_is_refused_while_it_arrives(contract: Contract) -> None:
    sent = 0

    async def body() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 100

    http, _ = client(contract, lambda _: answered(contract), max_body_bytes=1000)
    async with http:
        response = await http.post("/predict", content=body(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["detail"][0]["msg"] == "must be at most 1000 bytes"
    assert sent == 11


async def test_a_body_that_does_not_arrive_is_given_up(contract: Contract) -> None:
    async def body() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    http, _ = client(contract, lambda _: answered(contract), body_seconds=0.05)
    async with http:
        response = await http.post("/predict", content=body(), headers={"content-type": "application/json"})
    assert response.status_code == 408


async def test_a_caller_who_hangs_up_cancels_the_call(contract: Contract) -> None:
    channel = FakeChannel(lambda _: HANGS)
    app = Guard(create_app(contract, channel, BridgeSettings()))
    body = json.dumps(EXAMPLE).encode()
    called = asyncio.Event()
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        called.set()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        """Nobody is there."""

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "server": ("test", 80),
        "client": ("test", 1),
        "scheme": "http",
    }
    await asyncio.wait_for(app(scope, receive, send), 10)
    assert channel.cancelled.is_set()


async def test_nothing_is_kept_of_a_call_that_ended(contract: Contract) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        before = kept()
        await http.post("/predict", json=EXAMPLE)
        await asyncio.sleep(0)
        assert kept() <= before


def kept() -> set[HangUp | Row]:
    """What is in memory, left by other tests too."""
    return {one for one in gc.get_objects() if isinstance(one, HangUp | Row)}
