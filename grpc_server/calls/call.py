"""What the core knows of a call, whichever shell took it."""

import time
from dataclasses import dataclass
from typing import Any, TypeAlias

Facts: TypeAlias = tuple[tuple[str, str], ...]
"""Metadata that goes with an answer."""

VERSION, ALIAS, ROUTING_KEY = "model-version", "model-alias", "routing-key"
"""Metadata by which a caller chooses what answers."""

CHOOSING = frozenset((VERSION, ALIAS, ROUTING_KEY))


@dataclass(slots=True)  # Not frozen: that would cost a call a microsecond.
class Call:
    """Facts about one call."""

    request_id: str
    deadline: float | None
    """When the caller stops caring, on the clock of `time.monotonic`; None for never."""
    choice: dict[str, str] | None = None
    """The metadata by which the caller chose, by the names in CHOOSING; None for none."""
    facts: Facts = ()
    """Which version answers, once that is known."""
    pinned: Any = None
    """What a stream holds on to until it has `ended`."""
    ended: bool = False

    @property
    def expired(self) -> bool:
        """Whether the caller has stopped caring."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def over(self) -> None:
        """The call has ended. Shells say so of streams, from any thread; said again, it changes nothing."""
        self.ended = True
        if self.pinned is not None:
            self.pinned.unpin(self)
