"""The bridge's application on a fake channel, and requests to it."""

import json
from typing import Any

import httpx2

from foretell_contract.contract import Contract
from rest_bridge.app import create_app
from rest_bridge.settings import BridgeSettings
from tests.support.iris import EXAMPLE
from tests.support.servers.fake_channel import Answer, FakeChannel

BODY = json.dumps(EXAMPLE).encode()


def answered(contract: Contract) -> bytes:
    """A serialised prediction."""
    response: Any = contract.services[0].methods[0].response
    return bytes(response(setosa_probability=0.25, virginica_probability=0.75).SerializeToString())


def client(contract: Contract, answer: Answer, **settings: Any) -> tuple[httpx2.AsyncClient, FakeChannel]:
    channel = FakeChannel(answer)
    app = create_app(contract, channel, BridgeSettings(**settings))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test"), channel


async def post(contract: Contract, answer: Answer, body: Any = EXAMPLE, path: str = "/predict", **options: Any) -> httpx2.Response:
    http, _ = client(contract, answer)
    async with http:
        return await http.post(path, json=body, **options)


async def called(
    contract: Contract, path: str = "/predict", headers: dict[str, Any] | None = None, content: Any = BODY, **settings: Any
) -> tuple[httpx2.Response, list[dict[str, Any]]]:
    """The response to a request whose call succeeds, and the calls that it made."""
    http, channel = client(contract, lambda _: answered(contract), **settings)
    async with http:
        response = await http.post(path, content=content, headers={"content-type": "application/json"} | (headers or {}))
    return response, channel.calls
