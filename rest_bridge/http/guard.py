"""The ASGI layer around the application: nothing unexpected gets out, and a draining bridge says goodbye."""

import asyncio
import logging
import secrets
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foretell_lifecycle.request_id import request_id
from rest_bridge.json.request_problems import RequestRefused, refused

logger = logging.getLogger(__name__)

PAGE_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; worker-src 'self' blob:"
"""Content-Security-Policy of HTML pages. It keeps requests on this machine, such as ReDoc's for its logo."""


def failure(what: str, error: Exception) -> RequestRefused:
    """Log the unexpected with its trace, once; the refusal names only the incident."""
    incident = secrets.token_hex(6)
    logger.error("incident %s: %s", incident, what, exc_info=error)
    return refused(500, "internal", f"internal error; quote incident {incident} to the operator")


class Guard:
    """Gives every answer a request id, answers the unexpected with an opaque 500, and closes connections while draining."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._complete(message, scope)
            await send(message)

        if scope["method"] in ("GET", "HEAD"):
            # Pages are read whole: half of one is of use to nobody, and its refusal would be in foreign words. To a HEAD, uvicorn
            # sends the headers of the GET alone.
            scope = dict(scope, headers=[header for header in scope["headers"] if header[0] != b"range"], method="GET")
        try:
            await self._app(scope, receive, guarded)
        except asyncio.CancelledError:
            if started or not self.draining:
                raise
            refusal = refused(503, "unavailable", "the server is stopping; retry elsewhere", headers={"retry-after": "1"})
            await refusal.response()(scope, receive, guarded)
        except Exception as error:
            if not started:  # Else the application has answered and logged it; to uvicorn it would be news.
                what = f"{scope['method']} {scope['path'][:200]!r} (request {request_id(_given(scope))})"
                await failure(what, error).response()(scope, receive, guarded)

    def _complete(self, message: Message, scope: Scope) -> None:
        headers = message["headers"]
        names = dict(headers)
        if b"x-request-id" not in names:
            headers.append((b"x-request-id", request_id(_given(scope)).encode()))
        if b"x-content-type-options" not in names:
            headers.append((b"x-content-type-options", b"nosniff"))
        if names.get(b"content-type", b"").startswith(b"text/html") and b"content-security-policy" not in names:
            headers.append((b"content-security-policy", PAGE_POLICY.encode()))
        if self.draining and names.get(b"connection") != b"close":
            headers.append((b"connection", b"close"))


def _given(scope: Scope) -> Any:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("latin-1")
    return None
