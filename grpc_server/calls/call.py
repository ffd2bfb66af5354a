"""One gRPC call as handlers know it, the same from every transport."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from foretell_lifecycle.request_id import request_id

Metadata: TypeAlias = tuple[tuple[str, str], ...]

VERSION, ALIAS, ROUTING_KEY = "model-version", "model-alias", "routing-key"
"""Metadata by which a caller chooses the version."""

_CHOICES = frozenset((VERSION, ALIAS, ROUTING_KEY))

_NO_DEADLINE = 1e9
"""Seconds until the deadline above which a call has none: gRPC then gives its own largest time."""


@dataclass(slots=True)  # Not frozen: that would cost a call a microsecond.
class Call:
    """One call, read by its transport and completed by its handler."""

    request_id: str
    deadline: float | None
    """On the clock of `time.monotonic`; None for none."""
    choice: dict[str, str] | None = None
    model: Metadata = ()
    """Name, version and generation of the model that replies, once that is known."""
    pinned: Any = None
    """The routing target whose version a stream holds until it has `ended`."""
    ended: bool = False

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def end(self) -> None:
        """Release what a stream holds, from any thread; transports call it for streams only. A second call does nothing."""
        self.ended = True
        if self.pinned is not None:
            self.pinned.version.unpin(self)


def read_call(metadata: Iterable[tuple[str, str | bytes]], seconds: float | None) -> Call:
    """The call that came with `metadata`, `seconds` before its deadline; None for no deadline."""
    given: str | bytes | None = None
    choice: dict[str, Any] | None = None
    for name, value in metadata:
        if name == "x-request-id":
            given = value
        elif name in _CHOICES:
            choice = {name: value} | (choice or {})  # The first of a name counts.
    deadline = None if seconds is None or seconds > _NO_DEADLINE else time.monotonic() + seconds
    return Call(request_id(given), deadline, choice)
