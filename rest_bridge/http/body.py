"""Taking a request's body in, within bounds of size and time."""

import asyncio
from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from rest_bridge.http.scope_extensions import WHOLE_BODY
from rest_bridge.json.request_problems import RequestRefused, refused

_JSON = "application/json"
_GIVE_UP = {"connection": "close"}


async def read_body(scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, most: int, seconds: float) -> bytes:
    """The body of a JSON request. Raises Refused with 415, 413 or 408, and ClientDisconnect."""
    _check_kind(headers)
    if int(headers.get(b"content-length", b"0")) > most:  # The parser has seen to it that it is a number.
        raise _too_large(most)
    body: bytes | None = scope.get(WHOLE_BODY)
    if body is None:
        try:
            async with asyncio.timeout(seconds):
                return await _receive_body(receive, most)
        except TimeoutError:
            raise refused(408, "body_too_slow", f"must arrive within {seconds:g} s", ["body"], _GIVE_UP) from None
    if len(body) > most:
        raise _too_large(most)
    return body


def _check_kind(headers: Mapping[bytes, bytes]) -> None:
    kind = headers.get(b"content-type", b"")
    if kind != b"application/json":
        media, _, parameters = kind.decode("latin-1").lower().partition(";")
        charset = parameters.strip().removeprefix("charset=").strip('"')
        if media.strip() != _JSON or charset not in ("", "utf-8"):
            raise refused(415, "content_type", f"must be {_JSON}", ["header", "content-type"], {"accept-post": _JSON})
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise refused(415, "content_encoding", "must be identity: compressed bodies are not taken", ["header", "content-encoding"])


async def _receive_body(receive: Receive, most: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        more = message.get("more_body", False)
    return bytes(body)


def _too_large(most: int) -> RequestRefused:
    return refused(413, "body_too_large", f"must be at most {most} bytes", ["body"], _GIVE_UP)
