"""The path under which a proxy serves the bridge, such as `/models`."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address

from starlette.types import Scope

from rest_bridge.settings import ROOT_PATH, BridgeSettings, networks


class ProxyPrefix:
    """The prefix of a request: a trusted `X-Forwarded-Prefix`, else `root_path` of the ASGI server, else of the settings."""

    def __init__(self, settings: BridgeSettings, routed: Callable[[str], bool]) -> None:
        """`routed` tells whether a path has a route."""
        self._routed = routed
        self._default = settings.root_path or ""
        self._trusted = networks(settings.trusted_proxies or "")

    def apply(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """The path below the prefix. In the scope, `root_path` becomes the prefix and `path` begins with it, as ASGI has it.

        Some ASGI servers put `root_path` before the path. A prefix that the proxy left there is dropped if the path has no route.
        """
        given = scope.get("root_path", "")
        prefix = self._forwarded(scope, headers) or given.rstrip("/") or self._default
        path = _below(scope["path"], given)
        if (below := _below(path, prefix)) != path and not self._routed(path):
            path = below
        if prefix:
            scope["root_path"], scope["path"] = prefix, prefix + path
        return path

    def _forwarded(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """Each proxy of a chain adds its own part behind a comma. A malformed prefix is ignored."""
        value = headers.get(b"x-forwarded-prefix")
        prefix = "".join(part.strip().rstrip("/") for part in (value or b"").decode("latin-1").split(","))
        return prefix if prefix and ROOT_PATH.fullmatch(prefix) and self._trusts(scope) else ""

    def _trusts(self, scope: Scope) -> bool:
        try:
            peer = ip_address((scope.get("client") or ("",))[0])
        except ValueError:  # A Unix socket has no address.
            return False
        return any((getattr(peer, "ipv4_mapped", None) or peer) in network for network in self._trusted)


def _below(path: str, prefix: str) -> str:
    rest = path.removeprefix(prefix)
    return rest if rest.startswith("/") else path
