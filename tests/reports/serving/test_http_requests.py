"""HTTP as clients and proxies send it: what the specifications allow is answered, what they forbid is refused with its cause."""

import json
from pathlib import Path

import pytest

from foretell_contract.contract import Contract, load
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, features, write_contract
from tests.support.iris import EXAMPLE
from tests.support.servers.endpoint import BODY, answered, called, client, post
from tests.support.servers.http_connections import bridge, exchange

BATCH = json.dumps({"rows": [EXAMPLE]}).encode()
BOM = b"\xef\xbb\xbf"
NO_MEDIA = "must be application/json, or a type that ends in +json; it is {}"
NO_CHARSET = "must be application/json in UTF-8, which needs no charset; the charset is {}"
NO_HOST = "must be sent once, as HOST or HOST:PORT"
NO_EXPECTATION = "must be 100-continue: no other expectation can be met"
NO_METHOD = "the method is unknown here: predictions take POST, pages take GET and HEAD"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",  # chalice#306
        "application/json;charset=UTF-8",  # flask-pydantic#33
        'application/json; charset="utf8"',
        "application/json; odata.metadata=minimal; charset=utf-8",
        "application/json; odata.metadata=minimal",
        "application/json;",
        "Application/JSON",
        "application/vnd.api+json",  # chalice#1794, body-parser#131
        "application/vnd.kafka.json.v2+json; charset=utf-8",  # mmock#122
        "application/json; charset=us-ascii",
    ],
)
async def test_json_is_accepted(contract: Contract, content_type: str) -> None:
    response, calls = await called(contract, headers={"content-type": content_type})
    assert (response.status_code, len(calls)) == (200, 1)


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/json; charset=latin-1", NO_CHARSET.format("latin-1")),  # fastapi#15012
        ("application/vnd.api+json; charset=ISO-8859-1", NO_CHARSET.format("ISO-8859-1")),
        ("application/json; profile=x; charset = 'utf-16'", NO_CHARSET.format("utf-16")),
        ("text/json", NO_MEDIA.format("text/json")),
        ("application/x-www-form-urlencoded", NO_MEDIA.format("application/x-www-form-urlencoded")),
        ("application/jsonp", NO_MEDIA.format("application/jsonp")),
        ("image/svg+json", NO_MEDIA.format("image/svg+json")),
        ("", "must be application/json"),
    ],
)
async def test_other_content_is_named(contract: Contract, content_type: str, text: str) -> None:
    response, calls = await called(contract, headers={"content-type": content_type})
    assert (response.status_code, response.json()["detail"][0]["msg"], calls) == (415, text, [])
    assert response.headers["accept-post"] == "application/json"


# Editors, PowerShell, .NET and old proxies write it: cJSON#184, Newtonsoft.Json#583, secure-json-parse#5.
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", BOM + BODY),
        ("/predict", BOM + b" \r\n" + BODY),
        ("/predict", BOM + BODY.replace(b"0.", b"0.0")),
        ("/predict/", BOM + BODY),
    ],
)
async def test_byte_order_mark_is_ignored(contract: Contract, path: str, body: bytes) -> None:
    response, calls = await called(contract, path, content=body)
    plain, same = await called(contract, path, content=body.removeprefix(BOM))
    assert (response.status_code, response.json()) == (200, plain.json())
    assert calls[0]["request"] == same[0]["request"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (BODY.decode().encode("utf-16"), "the body is not UTF-8: byte 0"),
        (BODY.decode().encode("utf-32"), "the body is not UTF-8: byte 0"),
        (BODY.decode().encode("utf-16-le"), "it is malformed or cut off at character 1"),
        (BOM + BOM + BODY, "it is malformed or cut off at character 0"),
        (BOM, "it is malformed or cut off at character 0"),
    ],
)
async def test_other_encodings_are_refused(contract: Contract, body: bytes, why: str) -> None:
    response, calls = await called(contract, content=body)
    assert (response.status_code, calls) == (422, [])
    assert response.json()["detail"][0]["msg"] == f"the body is not JSON: {why}"


def sent(head: str, body: bytes = BODY) -> bytes:
    """The bytes of a request that ends its connection."""
    return f"{head}\r\nconnection: close\r\n".replace("\n", "\r\n").replace("\r\r", "\r").encode() + (
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


@pytest.mark.parametrize(
    "head",
    [
        "POST /predict HTTP/1.1\nhost: a",
        "POST /predict HTTP/1.1\nhost: [::1]:8000",
        "POST /predict HTTP/1.1\nhost:",  # RFC 9112, section 3.2: empty if the target has no authority.
        "POST /predict HTTP/1.0\nhost: a",
        "POST /predict HTTP/1.0",
        "POST /predict HTTP/1.1\nhost: a\nexpect: 100-continue",
        "POST /predict HTTP/1.1\nhost: a\nExpect: 100-Continue",
    ],
)
async def test_well_formed_head_is_answered(contract: Contract, head: str) -> None:
    async with bridge(contract) as address:
        final = (await exchange(address, sent(head))).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert final.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("head", "status", "kind", "text"),
    [
        # uvicorn#3125, hyper#3857, aiohttp#10600
        ("POST /predict HTTP/1.1", 400, "malformed_request", NO_HOST),
        ("POST /predict HTTP/1.1\nhost: a\nhost: a", 400, "malformed_request", NO_HOST),
        ("POST /predict HTTP/1.1\nhost: a\nHost: b", 400, "malformed_request", NO_HOST),
        ("POST /predict HTTP/1.0\nhost: a\nhost: b", 400, "malformed_request", NO_HOST),
        ("POST /predict HTTP/1.1\nhost: a/b", 400, "malformed_request", NO_HOST),
        ("POST /predict HTTP/1.1\nhost: a, b", 400, "malformed_request", NO_HOST),
        ("POST /predict HTTP/1.1\nhost: me@a", 400, "malformed_request", NO_HOST),
        ("GET /healthz HTTP/1.1", 400, "malformed_request", NO_HOST),
        # aiohttp#601, node-v0.x-archive#4651
        ("POST /predict HTTP/1.1\nhost: a\nexpect: other", 417, "expectation", NO_EXPECTATION),
        ("POST /predict HTTP/1.1\nhost: a\nexpect: 100-continue, other=1", 417, "expectation", NO_EXPECTATION),
        ("POST /predict HTTP/1.1\nhost: a\nexpect: 200-ok", 417, "expectation", NO_EXPECTATION),
        ("GET /healthz HTTP/1.1\nhost: a\nexpect: other", 417, "expectation", NO_EXPECTATION),
        # uvicorn#1296, uvicorn#75
        ("MUX /predict HTTP/1.1\nhost: a", 501, "unknown_method", NO_METHOD),
        ("post /predict HTTP/1.1\nhost: a", 501, "unknown_method", NO_METHOD),
        ("POSTX /predict HTTP/1.1\nhost: a", 501, "unknown_method", NO_METHOD),
        ("X-Y.z!1 /predict HTTP/1.0", 501, "unknown_method", NO_METHOD),
        ("GET /healthz HTTP/1.1\nhost: a\n\nBREW /pot HTTP/1.1\nhost: a", 501, "unknown_method", NO_METHOD),
        ("POST /predict HTTP/1.1\nhost: a\ncontent-length: 2\n\n{}BREW /pot HTTP/1.1\nhost: a", 501, "unknown_method", NO_METHOD),
        ("POST /predict HTTP/1.1\nhost: a\ncontent-length: 4\n\n{}\nBREW /pot HTTP/1.1\nhost: a", 501, "unknown_method", NO_METHOD),
        ("POST / HTTP/1.1\nhost: a\ntransfer-encoding: chunked\n\n2\n{}\n0\n\nBREW /a HTTP/1.1", 501, "unknown_method", NO_METHOD),
        ("POST /predict HTTP/1.1\nhost: a\ncontent-length: 2\n\n{}hello", 400, "malformed_request", "this is not HTTP/1.1"),
        ("BREW /predict HTTP/9.1\nhost: a", 400, "malformed_request", "this is not HTTP/1.1"),
        ("GET /healthz HTTP/1.1\nhost: a\n\nhello", 400, "malformed_request", "this is not HTTP/1.1"),
        ("PRI * HTTP/2.0", 400, "malformed_request", "this is not HTTP/1.1"),
    ],
)  # fmt: skip
async def test_forbidden_head_is_refused(contract: Contract, head: str, status: int, kind: str, text: str) -> None:
    async with bridge(contract) as address:
        raw = await exchange(address, sent(head))
    final = raw[raw.rindex(b"HTTP/1.1 ") :]
    head_lines, _, body = final.partition(b"\r\n\r\n")
    assert int(head_lines.split()[1]) == status
    assert b"\r\nx-request-id: " in head_lines
    (problem,) = json.loads(body)["detail"]
    assert (problem["type"], problem["msg"]) == (kind, text)


# RFC 9110, section 15.5.6: fastapi#4478, starlette#1434, restlet-framework-java#266
@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/models", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
        ("DELETE", "/docs/files/swagger/swagger-ui.css", "GET, HEAD"),
        ("OPTIONS", "/openapi.json", "GET, HEAD"),
        ("BREW", "/contract/iris/v1/iris.proto", "GET, HEAD"),
        ("GET", "/predict", "POST"),
        ("HEAD", "/predict/batch/", "POST"),
        ("PATCH", "/models/iris/versions/1/predict", "POST"),
    ],
)
async def test_allow_lists_every_method(contract: Contract, method: str, path: str, allow: str) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        refused = await http.request(method, path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allow)
        for other in set(allow.split(", ")) - {"POST"}:
            assert (await http.request(other, path)).status_code == 200


# fastapi#786, fastapi#2060, dj#752
@pytest.mark.parametrize("path", ["/docs", "/redoc", "/healthz", "/openapi.json", "/contract", "/contract/iris/v1/iris.proto"])
async def test_page_is_found_with_a_slash(contract: Contract, path: str) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        moved = await http.get(f"{path}/?deep=1", follow_redirects=False)
        assert (moved.status_code, moved.headers["location"]) == (307, f"../{path.rpartition('/')[2]}")
        found = await http.get(f"{path}/", follow_redirects=True)
    assert (found.status_code, found.url.path) == (200, path)


@pytest.mark.parametrize("path", ["/", "//", "/nowhere/", "/docs//", "/docs/files/", "/docs/nowhere/", "/contract/nowhere.proto/"])
async def test_other_slashes_lead_nowhere(contract: Contract, path: str) -> None:
    http, _ = client(contract, lambda _: answered(contract))
    async with http:
        response = await http.get(f"http://test{path}")
    assert (response.status_code, response.json()["detail"][0]["type"]) == (404, "not_found")


# rails#57914, helix-db#1106, csaf#981
@pytest.mark.parametrize(
    ("time", "known"),
    [
        ("2026-01-31T12:00:00+23:59", True),
        ("2026-01-31T12:00:00-00:00", True),
        ("2026-01-31T12:00:00Z", True),
        ("2026-01-31T12:00:00+25:00", False),
        ("2026-01-31T12:00:00-24:00", False),
        ("2026-01-31T12:00:00+99:99", False),
        ("2026-01-31T12:00:00+00:60", False),
        ("0001-01-01T00:00:00+00:01", False),
        ("9999-12-31T23:59:59-00:01", False),
        ("2026-01-31T24:00:00Z", False),
    ],
)
async def test_offset_of_a_time_is_bounded(tmp_path: Path, time: str, known: bool) -> None:
    contract = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, RESPONSE, features("google.protobuf.Timestamp at")))
    response = await post(contract, lambda _: b"", {"at": time}, contract.services[0].methods[0].paths[0])
    assert response.status_code == (200 if known else 422)
    if not known:
        (problem,) = response.json()["detail"]
        assert (problem["type"], problem["loc"], problem["input"]) == ("timestamp_format", ["body", "at"], time)
        assert problem["msg"].endswith("with an offset of at most 23:59")
