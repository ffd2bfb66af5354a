"""One endpoint on a fake channel: its calls, and its responses for each outcome of a call."""

import asyncio
import gc
import json
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from foretell_contract.contract import Contract
from rest_bridge.app import create_app
from rest_bridge.coalescer import QueuedRow
from rest_bridge.http.disconnect import Disconnect
from rest_bridge.json.grpc_to_http import HTTP_STATUS
from rest_bridge.settings import BridgeSettings
from tests.support.iris import EXAMPLE
from tests.support.servers.endpoint import answered, called, client, post
from tests.support.servers.fake_channel import HANGS, FakeChannel, rpc_error

OUR_INFO = ErrorInfo(reason="ANY", domain="foretell")


@pytest.mark.parametrize("path", ["/predict", "/predict/"])
async def test_response_has_all_fields_and_headers(contract: Contract, path: str) -> None:
    response, calls = await called(contract, path, {"x-request-id": "mine"})
    assert response.status_code == 200
    assert response.json() == {"setosa_probability": 0.25, "versicolor_probability": 0.0, "virginica_probability": 0.75}
    assert response.headers["content-type"] == "application/json"
    labels = {"model-name": "iris", "model-version": "7", "model-generation": "3", "x-request-id": "mine"}
    assert {name: response.headers[name] for name in labels} == labels
    assert "secret" not in response.headers
    (call,) = calls
    assert call["method"] == "/iris.v1.IrisService/Predict"
    assert call["request"] == contract.services[0].methods[0].request(**EXAMPLE).SerializeToString()
    assert call["metadata"] == (("x-request-id", "mine"),)


@pytest.mark.parametrize(
    ("path", "headers", "selector"),
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
async def test_path_or_headers_select_the_version(
    contract: Contract, path: str, headers: dict[str, Any], selector: tuple[tuple[str, str], ...] | int
) -> None:
    response, calls = await called(contract, path, headers | {"x-request-id": "mine"})
    if isinstance(selector, int):
        assert response.status_code == selector
        assert response.json()["detail"][0]["type"] == {400: "choice", 404: "not_found"}[selector]
        assert not calls
    else:
        assert response.status_code == 200
        assert calls[0]["metadata"] == (("x-request-id", "mine"), *selector)


@pytest.mark.parametrize("code", list(grpc.StatusCode))
async def test_every_code_has_an_http_status(contract: Contract, code: grpc.StatusCode) -> None:
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


async def test_our_servers_text_is_passed_on(contract: Contract) -> None:
    retry = RetryInfo(retry_delay=Duration(seconds=7))
    error = rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "9 rows are waiting", OUR_INFO, retry)
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


async def test_unexpected_error_is_opaque_and_logged(contract: Contract, caplog: pytest.LogCaptureFixture) -> None:
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


async def test_disconnect_cancels_the_call(contract: Contract) -> None:
    channel = FakeChannel(lambda _: HANGS)
    app = create_app(contract, channel, BridgeSettings())
    body = json.dumps(EXAMPLE).encode()
    called = asyncio.Event()
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        called.set()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        """The client is gone."""

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"test"), (b"content-type", b"application/json")],
        "server": ("test", 80),
        "client": ("test", 1),
        "scheme": "http",
    }
    await asyncio.wait_for(app(scope, receive, send), 10)
    assert channel.cancelled.is_set()


async def test_ended_call_leaves_no_objects(contract: Contract) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        before = call_objects()
        await http.post("/predict", json=EXAMPLE)
        await asyncio.sleep(0)
        assert call_objects() <= before


def call_objects() -> set[Disconnect | QueuedRow]:
    """Objects of calls in memory; other tests may have left some."""
    return {one for one in gc.get_objects() if isinstance(one, Disconnect | QueuedRow)}
