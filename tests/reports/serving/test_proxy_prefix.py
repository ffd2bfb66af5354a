"""The bridge behind a proxy that serves it under a path, stripped or not: pages, their links and the document."""

import re
from typing import Any
from urllib.parse import urljoin

import pytest
from pydantic import ValidationError

from foretell_contract.contract import Contract
from foretell_lifecycle.settings import settings_error
from rest_bridge.app import create_app
from rest_bridge.settings import BridgeSettings
from tests.support.iris import EXAMPLE
from tests.support.servers.asgi_hosts import HOSTS
from tests.support.servers.endpoint import answered
from tests.support.servers.fake_channel import FakeChannel

PREFIX = "/team/models"
FORWARDED = {"x-forwarded-prefix": PREFIX}
PROXIED = {"trusted_proxies": "10.0.0.0/8, 127.0.0.1"}


def app(contract: Contract, **settings: Any) -> Any:
    return create_app(contract, FakeChannel(lambda _: answered(contract)), BridgeSettings(**settings))


# fastapi#1977, fastapi#15 and fastapi#1294 strip the prefix, fastapi#2949 does not, MLServer#2344 has the header.
@pytest.mark.slow
@pytest.mark.parametrize(("host", "prefix"), [("uvicorn", "/models"), ("hypercorn", "/team/models")])  # `/models` is a page too.
@pytest.mark.parametrize("stripped", [True, False])
@pytest.mark.parametrize(
    ("root_path", "settings", "headers"),
    [
        pytest.param("{}", {}, {}, id="host"),
        pytest.param("{}/", {}, {}, id="host-with-slash"),
        pytest.param("", {"root_path": "{}"}, {}, id="setting"),
        pytest.param("", PROXIED, {"x-forwarded-prefix": "{}"}, id="header"),
        pytest.param("", PROXIED, {"x-forwarded-prefix": "/, {}/"}, id="two-proxies"),
        pytest.param("", PROXIED | {"root_path": "/other"}, {"x-forwarded-prefix": "{}"}, id="header-before-setting"),
        pytest.param("{}", {}, {"x-forwarded-prefix": "/other"}, id="host-and-untrusted-header"),
    ],
)
async def test_everything_is_found_under_the_prefix(
    contract: Contract, host: str, prefix: str, stripped: bool, root_path: str, settings: dict[str, str], headers: dict[str, str]
) -> None:
    seen = "" if stripped else prefix
    settings, headers = ({name: text.replace("{}", prefix) for name, text in each.items()} for each in (settings, headers))
    async with HOSTS[host](app(contract, **settings), root_path.replace("{}", prefix)) as http:
        http.headers.update(headers)

        async def get(path: str) -> Any:
            """What a browser gets for a path of the proxy."""
            assert path.startswith(f"{prefix}/"), path
            response = await http.get(seen + path.removeprefix(prefix))
            assert response.status_code in (200, 307), path
            return response

        for page in ("/docs", "/redoc"):
            links = re.findall(r'(?:href|src|spec-url)="([^"]+)"', (await get(prefix + page)).text)
            assert len(links) > 1
            for link in links:
                await get(urljoin(prefix + page, link))
            moved = await get(f"{prefix}{page}/")
            assert urljoin(f"{prefix}{page}/", moved.headers["location"]) == prefix + page
        document = (await get(f"{prefix}/openapi.json")).json()
        assert document["servers"] == [{"url": prefix}]
        (image,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", document["info"]["description"])
        await get(image)
        listed = (await get(f"{prefix}/contract")).json()
        for path in (*listed.pop("files"), *listed.values()):
            await get(path)
        for path in (path for path, page in document["paths"].items() if "post" in page):
            body = EXAMPLE if path.endswith("/predict") else {"rows": []}
            assert (await http.post(f"{seen}{path.format(version=1, alias='production')}", json=body)).status_code == 200, path
        assert (await get(f"{prefix}/models")).json() == {"models": [], "following": []}


@pytest.mark.parametrize(
    ("settings", "headers", "prefix"),
    [
        ({}, {}, "/"),
        ({}, FORWARDED, "/"),  # Nobody is trusted.
        ({"trusted_proxies": "10.0.0.0/8"}, FORWARDED, "/"),
        ({"trusted_proxies": "*"}, FORWARDED, PREFIX),
        ({"trusted_proxies": "127.0.0.1"}, {"x-forwarded-prefix": f"{PREFIX}/"}, PREFIX),
        ({"trusted_proxies": "127.0.0.0/8"}, {"x-forwarded-prefix": "/"}, "/"),
        # A browser would send requests to the host `evil`, or read the text as a link.
        ({"trusted_proxies": "*"}, {"x-forwarded-prefix": "//evil"}, "/"),
        ({"trusted_proxies": "*"}, {"x-forwarded-prefix": "https://evil"}, "/"),
        ({"trusted_proxies": "*"}, {"x-forwarded-prefix": '/a"b'}, "/"),
        ({"root_path": "/a"}, {"x-forwarded-prefix": "/b"}, "/a"),
    ],
)
async def test_only_trusted_prefix_is_used(contract: Contract, settings: Any, headers: dict[str, str], prefix: str) -> None:
    async with HOSTS["own"](app(contract, **settings)) as http:
        assert (await http.get("/openapi.json", headers=headers)).json()["servers"] == [{"url": prefix}]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"root_path": "models"}, "root_path: Value error, 'models' must be a path such as /models, without a slash at its end"),
        (
            {"root_path": "/models/"},
            "root_path: Value error, '/models/' must be a path such as /models, without a slash at its end",
        ),
        ({"root_path": "//a"}, "root_path: Value error, '//a' must be a path such as /models, without a slash at its end"),
        ({"trusted_proxies": "a"}, "trusted_proxies: Value error, 'a' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_wrong_setting_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        BridgeSettings(**settings)
    assert str(settings_error(refused.value)) == f"settings: {reason}"
