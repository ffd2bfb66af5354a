"""The version of a model that a request selects, by its path or its headers."""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from rest_bridge.json.request_problems import refusal

VersionSelector: TypeAlias = tuple[tuple[str, str], ...]
"""Metadata of the call: the version or alias that the request selects, and its routing key."""

NO_SELECTOR: VersionSelector = ()

_NAMES = {b"model-version": "model-version", b"model-alias": "model-alias", b"routing-key": "routing-key"}
_HEADERS = frozenset(_NAMES)
_TEXT = re.compile(r"[\x21-\x7e]{1,128}")


def version_selector(headers: Mapping[bytes, bytes], path: Mapping[str, Any] | None) -> VersionSelector:
    """The selector of a request; `path` holds the `version` or the `alias` of its path, if any.

    Only the server knows which versions exist. Raises RequestRefused for a value that can name no version, alias or key, and for a
    path that differs from a header.
    """
    if not path and headers.keys().isdisjoint(_HEADERS):
        return NO_SELECTOR
    selector = {name: _text(headers[header], name) for header, name in _NAMES.items() if header in headers}
    for kind, value in (path or {}).items():
        name = f"model-{kind}"
        if selector.get(name, value) != value:
            raise refusal(400, "choice", f"the path names another {kind}", ["header", name])
        selector[name] = _text(value.encode(), name)
    return tuple(selector.items())


def _text(value: bytes, name: str) -> str:
    text = value.decode("latin-1")
    if not _TEXT.fullmatch(text):
        raise refusal(400, "choice", "must be 1 to 128 printable ASCII characters without spaces", ["header", name])
    return text


def selector_paths(model: str, path: str) -> dict[str, str]:
    """The two longer paths of a method, which select a version or an alias, by `version` and `alias`."""
    return {kind: f"/models/{model}/{plural}/{{{kind}}}{path}" for kind, plural in (("version", "versions"), ("alias", "aliases"))}
