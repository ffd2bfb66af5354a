"""Taking a request's body in, within bounds of size and time."""

import asyncio

from starlette.requests import Request

from rest_bridge.problem import refused

_JSON = "application/json"


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """The body of a JSON request. Raises Refused with 415, 413 or 408, and ClientDisconnect."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise refused(415, "content_type", f"must be {_JSON}", ["header", "content-type"], {"accept-post": "application/json"})
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise refused(413, "body_too_large", f"must be at most {most} bytes", ["body"], {"connection": "close"})
    except TimeoutError:
        raise refused(408, "body_too_slow", f"must arrive within {seconds:g} s", ["body"], {"connection": "close"}) from None
    return bytes(body)
