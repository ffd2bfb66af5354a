"""Options of a request in its headers and its path: its timeout, and the version of the model that it selects."""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from rest_bridge.json.request_problems import refusal

VersionSelector: TypeAlias = tuple[tuple[str, str], ...]
"""Metadata of the call: the version or alias that the request selects, and its routing key."""

NO_SELECTOR: VersionSelector = ()

_SELECTORS = (b"model-version", b"model-alias", b"routing-key")
_TEXT = re.compile(r"[\x21-\x7e]{1,128}")
_SECONDS = re.compile(r"\d{1,32}(\.\d{1,32})?([eE][+-]?\d{1,3})?")
_GRPC = re.compile(r"(\d{1,8})([HMSmun])")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def timeout(headers: Mapping[bytes, bytes], default: float, longest: float) -> float:
    """Seconds from `X-Request-Timeout` (a number of seconds) or `grpc-timeout` (digits and a unit), the shorter of both.

    At most `longest`; `default` without either header. Raises RequestRefused for a malformed header, and for zero.
    """
    timeouts = [read(headers[name].decode("latin-1"), name.decode()) for name, read in _READERS if name in headers]
    return min([*timeouts, longest]) if timeouts else default


def _seconds(text: str, name: str) -> float:
    if not _SECONDS.fullmatch(text) or not float(text):
        raise refusal(400, "timeout", "must be a number of seconds above 0, such as 2.5", ["header", name])
    return float(text)


def _grpc(text: str, name: str) -> float:
    match = _GRPC.fullmatch(text)
    if not match or not int(match[1]):
        msg = "must be 1 to 8 digits above 0 and one of H, M, S, m, u, n, such as 2500m"
        raise refusal(400, "timeout", msg, ["header", name])
    return int(match[1]) * _UNITS[match[2]]


_READERS = ((b"x-request-timeout", _seconds), (b"grpc-timeout", _grpc))


def version_selector(headers: Mapping[bytes, bytes], path: Mapping[str, Any] | None) -> VersionSelector:
    """The selector of a request; `path` holds the `version` or the `alias` of its path, if any.

    Only the server knows which versions exist. Raises RequestRefused for a value that can name no version, alias or key, and for a
    path that differs from a header.
    """
    if not path and headers.keys().isdisjoint(_SELECTORS):
        return NO_SELECTOR
    selector = {name.decode(): _selected(headers[name], name.decode()) for name in _SELECTORS if name in headers}
    chosen = {kind: path[kind] for kind in ("version", "alias") if kind in path} if path else {}  # A mount may have added others.
    for kind, value in chosen.items():
        name = f"model-{kind}"
        if selector.get(name, value) != value:
            raise refusal(400, "choice", f"the path names another {kind}", ["header", name])
        selector[name] = _selected(value.encode(), name)
    return tuple(selector.items())


def _selected(value: bytes, name: str) -> str:
    text = value.decode("latin-1")
    if not _TEXT.fullmatch(text):
        raise refusal(400, "choice", "must be 1 to 128 printable ASCII characters without spaces", ["header", name])
    return text


def selector_paths(model: str, path: str) -> dict[str, str]:
    """The two longer paths of a method, which select a version or an alias, by `version` and `alias`."""
    return {kind: f"/models/{model}/{plural}/{{{kind}}}{path}" for kind, plural in (("version", "versions"), ("alias", "aliases"))}
