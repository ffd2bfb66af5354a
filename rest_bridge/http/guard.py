"""ASGI layers around an application: Guard, the outermost of every listener, and `loopback_only` for local clients."""

import asyncio
import logging
import re
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foretell_lifecycle import address
from foretell_lifecycle.request_id import request_id
from rest_bridge.json.request_problems import RequestRefused, refusal

logger = logging.getLogger(__name__)

HEADERS = "foretell.headers"
"""The headers of a request by name, in the scope; the first of two with one name."""

PAGE_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; worker-src 'self' blob:"
"""Content-Security-Policy of HTML pages. It keeps requests on this machine, such as ReDoc's for its logo."""


_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+;=%-]*)(?::[0-9]*)?", re.ASCII)


def failure(scope: Scope, error: Exception) -> RequestRefused:
    """Log the error with its trace under a new incident id; return the refusal, which names only that id."""
    incident = secrets.token_hex(6)
    what = f"{scope['method']} {scope['path'][:200]!r} (request {_request_id(scope)})"
    logger.error("incident %s: %s", incident, what, exc_info=error)
    return refusal(500, "internal", f"internal error; quote incident {incident} to the operator")


class Guard:
    """Gives every response a request id, answers an unexpected error with an opaque 500, and closes connections while draining."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.draining = False
        self._valid_host = b""
        """The last `Host` that was checked."""

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
                self._add_headers(message, scope)
            await send(message)

        if scope["method"] in ("GET", "HEAD"):
            # Static files ignore ranges: starlette refuses a malformed one in plain text. uvicorn leaves out the body for HEAD.
            scope = dict(scope, headers=[header for header in scope["headers"] if header[0] != b"range"], method="GET")
        refused = self._refused_head(scope)
        try:
            await (self._app if refused is None else refused.response())(scope, receive, guarded)
        except asyncio.CancelledError:
            if started or not self.draining:
                raise
            unavailable = refusal(503, "unavailable", "the server is stopping; retry elsewhere", headers={"retry-after": "1"})
            await unavailable.response()(scope, receive, guarded)
        except Exception as error:
            if not started:  # Otherwise FastAPI has already answered and logged it.
                await failure(scope, error).response()(scope, receive, guarded)

    def _refused_head(self, scope: Scope) -> RequestRefused | None:
        """The refusal by RFC 9112, section 3.2, or RFC 9110, section 10.1.1, if any; adds HEADERS to the scope."""
        given = scope["headers"]
        headers = scope[HEADERS] = dict(reversed(given))
        if headers.get(b"host") == self._valid_host and len(headers) == len(given) and b"expect" not in headers:
            return None
        expectations = {value.lower() for name, value in given if name == b"expect"}
        if expectations - {b"100-continue"}:
            return refusal(417, "expectation", "must be 100-continue: no other expectation can be met", ["header", "expect"])
        hosts = [value for name, value in given if name == b"host"]
        if len(hosts) == 1 and _HOST.fullmatch(hosts[0]):
            self._valid_host = hosts[0]
            return None
        if not hosts and scope["http_version"] != "1.1":
            return None
        return refusal(400, "malformed_request", "must be sent once, as HOST or HOST:PORT", ["header", "host"])

    def _add_headers(self, message: Message, scope: Scope) -> None:
        headers = message["headers"] = [*message["headers"]]  # A copy: a fixed page answers with the same list each time.
        names = dict(headers)
        if b"x-request-id" not in names:
            headers.append((b"x-request-id", _request_id(scope).encode()))
        if b"x-content-type-options" not in names:
            headers.append((b"x-content-type-options", b"nosniff"))
        if names.get(b"content-type", b"").startswith(b"text/html") and b"content-security-policy" not in names:
            headers.append((b"content-security-policy", PAGE_POLICY.encode()))
        if self.draining and b"connection" not in names:
            headers.append((b"connection", b"close"))
        if not scope["http_version"].startswith("1"):  # HTTP/2 forbids the header.
            message["headers"] = [header for header in headers if header[0] != b"connection"]


def loopback_only(app: ASGIApp) -> ASGIApp:
    """A layer that accepts requests whose `Host` is a loopback name and whose `Origin`, if any, is the same host.

    A page of another site can make a browser post to this listener. It can also point its own host name at our address (DNS
    rebinding), and then read the responses as well.
    """

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        refused = _foreign(dict(scope["headers"])) if scope["type"] == "http" else None
        await (app if refused is None else refused.response())(scope, receive, send)

    return checked


def _foreign(headers: Mapping[bytes, bytes]) -> RequestRefused | None:
    host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
    if not address.is_loopback(_host_name(host)):
        msg = "must be localhost or a loopback address: this listener serves its own machine only"
        return refusal(403, "host", msg, ["header", "host"])
    if origin and origin.partition("://")[2] != host:
        return refusal(403, "origin", "must be this host: pages of other sites may not call it", ["header", "origin"])
    return None


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _request_id(scope: Scope) -> str:
    return request_id(scope[HEADERS].get(b"x-request-id", b"").decode("latin-1"))
