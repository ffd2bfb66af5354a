"""What the core knows of a call, whichever shell took it."""

import time
from dataclasses import dataclass


@dataclass(slots=True)  # Not frozen: that would cost a call a microsecond.
class Call:
    """Facts about one call."""

    request_id: str
    deadline: float | None
    """When the caller stops caring, on the clock of `time.monotonic`; None for never."""

    @property
    def expired(self) -> bool:
        """Whether the caller has stopped caring."""
        return self.deadline is not None and time.monotonic() >= self.deadline
