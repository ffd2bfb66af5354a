"""Bodies of requests, within bounds of size and time, and the keys by which our Connection hands over whole bodies."""

import asyncio
import re
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
_MEDIA = re.compile(r"application/(?:json|[\w.!#$&^-]+\+json)", re.IGNORECASE | re.ASCII)  # RFC 6839 has the suffix.
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"']*)""", re.IGNORECASE)
_UTF8 = ("", "utf-8", "utf8", "us-ascii", "ascii")
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
        _check_content_type(content_type.decode("latin-1"))
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        msg = "must be identity: compressed bodies are not accepted"
        raise refusal(415, "content_encoding", msg, ["header", "content-encoding"])


def _check_content_type(given: str) -> None:
    """Other parameters than `charset` have no meaning here and are ignored, as RFC 8259 has it."""
    media, _, parameters = given.partition(";")
    if not _MEDIA.fullmatch(media.strip()):
        msg = f"must be {_JSON}, or a type that ends in +json; it is {given[:64]}" if given else f"must be {_JSON}"
        raise refusal(415, "content_type", msg, ["header", "content-type"], {"accept-post": _JSON})
    charset = _CHARSET.search(f";{parameters}")
    if charset is not None and charset[1].lower() not in _UTF8:
        msg = f"must be {_JSON} in UTF-8, which needs no charset; the charset is {charset[1][:64]}"
        raise refusal(415, "content_type", msg, ["header", "content-type"], {"accept-post": _JSON})


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
