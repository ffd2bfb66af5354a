"""Taking a request's body in, within bounds of size and time."""

import asyncio

from starlette.requests import Request

from rest_bridge.problem import Refused, refused

_JSON = "application/json"


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """The body of a JSON request. Raises Refused with 415, 413 or 408, and ClientDisconnect."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if kind.strip() != _JSON or charset not in ("", "utf-8"):
        raise refused(415, "content_type", f"must be {_JSON}", ["header", "content-type"], {"accept-post": "application/json"})
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise refused(415, "content_encoding", "must be identity: compressed bodies are not taken", ["header", "content-encoding"])
    if int(request.headers.get("content-length", "0")) > most:  # The parser has seen to it that it is a number.
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise refused(408, "body_too_slow", f"must arrive within {seconds:g} s", ["body"], {"connection": "close"}) from None
    return bytes(body)


def _too_large(most: int) -> Refused:
    return refused(413, "body_too_large", f"must be at most {most} bytes", ["body"], {"connection": "close"})
