"""The application around the endpoints: its pages, its paths, its drain."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from foretell_contract.contract import Contract, load
from foretell_contract.errors import ContractError
from rest_bridge.app import create_app
from rest_bridge.openapi.reserved_paths import is_own
from rest_bridge.pages import ServedContract, pages
from rest_bridge.settings import BridgeSettings
from tests.support.contract_files import RESPONSE, features, write_contract
from tests.support.iris import EXAMPLE
from tests.support.servers.endpoint import answered, client
from tests.support.servers.fake_channel import HANGS, FakeChannel


async def test_unknown_page_is_refused_in_json(contract: Contract) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        missing = await http.get("/nowhere")
        wrong = await http.get("/predict")
    assert (missing.status_code, missing.json()["detail"][0]["type"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["detail"][0]["type"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    assert missing.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json", "/docs/files/fastapi/favicon.png"])
async def test_pages_answer_head_and_ignore_ranges(contract: Contract, path: str) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        assert (await http.head(path)).status_code == 200
        assert (await http.get(path, headers={"range": "bytes=abc"})).status_code == 200


async def test_fixed_page_echoes_each_request_id(contract: Contract) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        responses = [await http.get("/docs", headers={"x-request-id": identity}) for identity in ("a", "b")]
    assert [page.headers["x-request-id"] for page in responses] == ["a", "b"]


async def test_request_that_outlives_the_drain_is_refused(contract: Contract) -> None:
    called = asyncio.Event()

    def hang(_request: bytes) -> Any:
        called.set()
        return HANGS

    guard = create_app(contract, FakeChannel(hang), BridgeSettings())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(guard), base_url="http://test") as http:
        request = asyncio.create_task(http.post("/predict", json=EXAMPLE))
        await called.wait()
        guard.draining = True
        request.cancel()
        response = await request
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/models", "/contract", "/docs", "/openapi.json", "/docs/files/x"])
def test_contract_cannot_use_a_page_path(tmp_path: Path, path: str) -> None:
    method = f'rpc A(Features) returns (Response) {{ option (google.api.http) = {{post: "{path}" body: "*"}}; }}'
    contract = load(write_contract(tmp_path, f"service S {{ {method} }}", features("double x"), RESPONSE))
    with pytest.raises(ContractError) as refused:
        create_app(contract, FakeChannel(lambda _: b""), BridgeSettings())
    reason = f"the REST path {path.rstrip('/')} of test.v1.S.A is one of the bridge's own pages"
    assert str(refused.value) == f"{reason}; give it another path in google.api.http"


def test_every_page_is_reserved(contract: Contract) -> None:
    channel = FakeChannel(lambda _: b"")
    routes = pages(contract, channel, ServedContract(contract, channel)).routes
    assert len(routes) > 5
    assert [route.path for route in routes if isinstance(route, Route) and not is_own(route.path, contract)] == []


async def test_draining_bridge_closes_connections(contract: Contract) -> None:
    guard = create_app(contract, FakeChannel(lambda _: answered(contract)), BridgeSettings())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(guard), base_url="http://test") as http:
        assert "connection" not in (await http.get("/healthz")).headers
        guard.draining = True
        assert (await http.get("/healthz")).headers["connection"] == "close"
