"""The ASGI layer of a listener that is for this machine alone: what a browser asks for a page of another site is refused."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from foretell_lifecycle import address
from rest_bridge.json.request_problems import RequestRefused, refused


class LoopbackOnly:
    """Takes requests to this machine by one of its own names, and from no page but its own.

    A page of another site may have a browser post here, and may give its own host name our address (DNS rebinding): then it would
    read the answers as well.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        refusal = _stranger(dict(scope["headers"])) if scope["type"] == "http" else None
        await (self._app if refusal is None else refusal.response())(scope, receive, send)


def _stranger(headers: Mapping[bytes, bytes]) -> RequestRefused | None:
    host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
    if not address.is_loopback(_name(f"//{host}")):
        why = "must be localhost or a loopback address: this listener is for its machine alone"
        return refused(403, "host", why, ["header", "host"])
    if origin and origin.partition("://")[2] != host:
        return refused(403, "origin", "must be this host: pages of other sites may not ask here", ["header", "origin"])
    return None


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
