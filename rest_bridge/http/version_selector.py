"""Which version of a model a request chooses, by its path or its headers."""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from rest_bridge.json.request_problems import refused

VersionSelector: TypeAlias = tuple[tuple[str, str], ...]
"""Metadata of a call that chooses; empty where it does not."""

NOTHING: VersionSelector = ()

_NAMES = {b"model-version": "model-version", b"model-alias": "model-alias", b"routing-key": "routing-key"}
_HEADERS = frozenset(_NAMES)
_TEXT = re.compile(r"[\x21-\x7e]{1,128}")


def chosen(headers: Mapping[bytes, bytes], path: Mapping[str, Any] | None) -> VersionSelector:
    """What a request chooses; `path` holds the `version` or the `alias` that its path names, if any.

    The server knows which there are. Raises Refused for what no version, alias or key can be, or where path and header differ.
    """
    if not path and headers.keys().isdisjoint(_HEADERS):
        return NOTHING
    choice = {name: _text(headers[header], name) for header, name in _NAMES.items() if header in headers}
    for kind, value in (path or {}).items():
        name = f"model-{kind}"
        if choice.get(name, value) != value:
            raise refused(400, "choice", f"the path names another {kind}", ["header", name])
        choice[name] = _text(value.encode(), name)
    return tuple(choice.items())


def _text(value: bytes, name: str) -> str:
    text = value.decode("latin-1")
    if not _TEXT.fullmatch(text):
        raise refused(400, "choice", "must be 1 to 128 printable ASCII characters without spaces", ["header", name])
    return text


def chosen_paths(model: str, path: str) -> dict[str, str]:
    """The paths of a method by which a version or an alias is chosen, by what they choose."""
    return {kind: f"/models/{model}/{plural}/{{{kind}}}{path}" for kind, plural in (("version", "versions"), ("alias", "aliases"))}
