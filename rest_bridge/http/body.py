"""Bodies of requests, within bounds of size and time, and the keys by which our Connection hands over whole bodies."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from rest_bridge.json.request_problems import RequestRefused, refusal

WHOLE_BODY = "foretell.body"
"""The body, if all of it had arrived before the application was called."""

WHOLE_ANSWER = "foretell.answer"
"""A SendWhole, under the same condition."""

SendWhole = Callable[[Iterable[tuple[bytes, bytes]], bytes], bool]
"""Sends status 200 with these headers and this body in one write. False if the application must send it by ASGI instead."""

_JSON = "application/json"
_CLOSE = {"connection": "close"}


async def read_body(scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, max_bytes: int, seconds: float) -> bytes:
    """The body. Raises RequestRefused with 415, 413 or 408, and ClientDisconnect."""
    _check_headers(headers)
    if int(headers.get(b"content-length", b"0")) > max_bytes:  # The HTTP parser accepts digits only.
        raise _too_large(max_bytes)
    body: bytes | None = scope.get(WHOLE_BODY)
    if body is None:
        try:
            async with asyncio.timeout(seconds):
                return await _receive_body(receive, max_bytes)
        except TimeoutError:
            raise refusal(408, "body_too_slow", f"must arrive within {seconds:g} s", ["body"], _CLOSE) from None
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def _check_headers(headers: Mapping[bytes, bytes]) -> None:
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json":
        media, _, parameters = content_type.decode("latin-1").lower().partition(";")
        charset = parameters.strip().removeprefix("charset=").strip('"')
        if media.strip() != _JSON or charset not in ("", "utf-8"):
            raise refusal(415, "content_type", f"must be {_JSON}", ["header", "content-type"], {"accept-post": _JSON})
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        msg = "must be identity: compressed bodies are not accepted"
        raise refusal(415, "content_encoding", msg, ["header", "content-encoding"])


async def _receive_body(receive: Receive, max_bytes: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        more = message.get("more_body", False)
    return bytes(body)


def _too_large(max_bytes: int) -> RequestRefused:
    return refusal(413, "body_too_large", f"must be at most {max_bytes} bytes", ["body"], _CLOSE)
