"""The ASGI layer of a listener for local clients: refuses requests that a browser makes for a page of another site."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from foretell_lifecycle import address
from rest_bridge.json.request_problems import RequestRefused, refusal


class LoopbackOnly:
    """Accepts requests whose `Host` is a loopback name and whose `Origin`, if any, is the same host.

    A page of another site can make a browser post to this listener. It can also point its own host name at our address (DNS
    rebinding), and then read the responses as well.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        refused = _refusal(dict(scope["headers"])) if scope["type"] == "http" else None
        await (self._app if refused is None else refused.response())(scope, receive, send)


def _refusal(headers: Mapping[bytes, bytes]) -> RequestRefused | None:
    host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
    if not address.is_loopback(_name(f"//{host}")):
        msg = "must be localhost or a loopback address: this listener serves its own machine only"
        return refusal(403, "host", msg, ["header", "host"])
    if origin and origin.partition("://")[2] != host:
        return refusal(403, "origin", "must be this host: pages of other sites may not call it", ["header", "origin"])
    return None


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
