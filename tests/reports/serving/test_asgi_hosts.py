"""The bridge's application in our own and in other ASGI servers: every page and every prediction is the same."""

import json
import re
import socket
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from foretell_contract.contract import Contract
from rest_bridge.app import create_app
from rest_bridge.settings import BridgeSettings
from tests.conftest import PROTOS
from tests.support.iris import EXAMPLE
from tests.support.markdown_blocks import blocks
from tests.support.processes import ROOT, grpc_server, starting, until
from tests.support.servers.asgi_hosts import HOSTS
from tests.support.servers.endpoint import answered
from tests.support.servers.fake_channel import FakeChannel

PAGES = {
    "/healthz": "application/json",
    "/models": "application/json",
    "/contract": "application/json",
    "/openapi.json": "application/json",
    "/contract.binpb": "application/octet-stream",
    "/contract/iris/v1/iris.svg": "image/svg+xml",
    "/docs": "text/html; charset=utf-8",
    "/redoc": "text/html; charset=utf-8",
    "/docs/files/swagger/swagger-ui.css": "text/css; charset=utf-8",
}
JSON = {"content-type": "application/json"}
# An application that is no coroutine function is called as ASGI 2: fastapi#809, uvicorn#607, sentry-python#947.
PREDICTIONS: list[tuple[bytes, int, str]] = [
    (json.dumps(EXAMPLE).encode(), 200, ""),
    (b'{"nonsense": 1}', 422, "unknown_field"),
    (b"no JSON", 422, "json_invalid"),
]


def app(contract: Contract) -> Any:
    return create_app(contract, FakeChannel(lambda _: answered(contract)), BridgeSettings(max_body_bytes=100))


@pytest.mark.parametrize("host", HOSTS)
async def test_every_page_is_served(contract: Contract, host: str) -> None:
    async with HOSTS[host](app(contract)) as http:
        for page, media in PAGES.items():
            response = await http.get(page, headers={"x-request-id": "mine"})
            assert (response.status_code, response.headers["content-type"]) == (200, media), page
            assert response.headers["x-request-id"] == "mine"
            assert response.headers["x-content-type-options"] == "nosniff"
            head = await http.head(page)
            assert (head.status_code, head.content) == (200, b""), page
        missing = await http.get("/nowhere")
        assert (missing.status_code, missing.json()["detail"][0]["type"]) == (404, "not_found")


@pytest.mark.parametrize("host", HOSTS)
async def test_every_prediction_is_answered(contract: Contract, host: str) -> None:
    async with HOSTS[host](app(contract)) as http:
        for body, status, kind in PREDICTIONS:
            response = await http.post("/predict", content=body, headers=JSON)
            assert response.status_code == status, response.text
            assert response.json().get("detail", [{"type": ""}])[0]["type"] == kind
            assert response.headers["x-request-id"]
        assert response.http_version == ("HTTP/2" if host == "hypercorn-http2" else "HTTP/1.1")


# Starlette puts the path of a mount into `root_path`, and its parameters into `path_params`: fastapi#14238.
@pytest.mark.parametrize("mount", ["/models", "/a/b", "/tenants/{tenant:int}", "/by/{tenant}"])
@pytest.mark.parametrize("host", ["uvicorn", "hypercorn"])
async def test_application_is_mounted_in_another(contract: Contract, mount: str, host: str) -> None:
    prefix = re.sub("{.*}", "5", mount)
    outer = Starlette(routes=[Mount(mount, app(contract))])
    async with HOSTS[host](outer) as http:
        assert (await http.post(f"{prefix}/predict", json=EXAMPLE)).status_code == 200
        assert (await http.post(f"{prefix}/models/iris/versions/1/predict", json=EXAMPLE)).status_code == 200
        assert (await http.get(f"{prefix}/openapi.json")).json()["servers"] == [{"url": prefix}]
        assert (await http.get(f"{prefix}/docs/files/swagger/swagger-ui.css")).status_code == 200


@pytest.mark.parametrize("loopback_only", [False, True])
@pytest.mark.parametrize(
    ("scope", "received", "sent"),
    [
        ({"type": "websocket", "path": "/predict", "headers": []}, ["websocket.connect"], ["websocket.close"]),
        ({"type": "websocket", "path": "/docs", "headers": []}, ["websocket.connect"], ["websocket.close"]),
        (
            {"type": "lifespan"},
            ["lifespan.startup", "lifespan.shutdown"],
            ["lifespan.startup.complete", "lifespan.shutdown.complete"],
        ),
    ],
)
async def test_other_protocols_end_in_order(
    contract: Contract, scope: dict[str, Any], received: list[str], sent: list[str], loopback_only: bool
) -> None:
    channel, messages, answers = FakeChannel(lambda _: b""), iter(received), list[str]()

    async def receive() -> Any:
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        answers.append(message["type"])

    await create_app(contract, channel, BridgeSettings(), loopback_only=loopback_only)(scope, receive, send)
    assert answers == sent


# HTTP/2 and HTTP/3 forbid the header: httpie-http2#8, linkerd2-proxy#2171, hyper#291.
@pytest.mark.parametrize(("version", "closed"), [("1.0", True), ("1.1", True), ("2", False), ("3", False)])
@pytest.mark.parametrize("draining", [False, True])
async def test_only_http1_closes_by_header(contract: Contract, version: str, closed: bool, draining: bool) -> None:
    guard, sent = app(contract), list[Any]()
    guard.draining = draining
    headers = [(b"host", b"test"), (b"content-type", b"application/json"), (b"content-length", b"101")]
    scope = {"type": "http", "http_version": version, "method": "POST", "path": "/predict", "headers": headers}

    async def send(message: Any) -> None:
        sent.append(message)

    await guard(scope, send, send)
    assert sent[0]["status"] == 413
    assert [value for name, value in sent[0]["headers"] if name == b"connection"] == [b"close"] * closed


# A channel is made before the server starts its loop: grpc#32480, uvicorn#1306, pyzeebe#198.
@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [("run_bridge",), ("uvicorn", "bridge:app", "--uds", "bridge.sock"), ("hypercorn", "bridge:app", "--bind", "unix:bridge.sock")],
    ids=["uvicorn.run", "uvicorn", "hypercorn"],
)
def test_documented_module_predicts(steady: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = (block for block in blocks(ROOT / "docs/reference/processes.md") if block.language == "python")
    with TemporaryDirectory() as folder, grpc_server(steady) as (_, target):
        path = f"{folder}/bridge.sock"
        Path(folder, "bridge.py").write_text(block.text)
        Path(folder, "run_bridge.py").write_text(f"import uvicorn\nfrom bridge import app\nuvicorn.run(app, uds={path!r})\n")
        monkeypatch.setenv("PYTHONPATH", folder)
        arguments = [argument.replace("bridge.sock", path) for argument in command]
        with (
            starting(*arguments, target=target, protos=str(PROTOS)),
            httpx2.Client(transport=httpx2.HTTPTransport(uds=path), base_url="http://bridge", timeout=20) as http,
        ):
            until(partial(_accepts, path))
            assert http.post("/predict", json=EXAMPLE).json()["versicolor_probability"] == 0.99
            assert http.get("/readyz").json() == {"status": "ready"}
            assert http.get("/models").json()["models"][0]["name"] == "iris"


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(path) == 0
