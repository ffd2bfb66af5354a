"""A guess whether the next request comes alone, for code that else waits for others to share a run with it."""

_SURE = 4
"""Lone requests in a row after which the next is expected to be alone. With fewer, a few callers in turn mislead it too often."""


class LoneRequestDetector:
    """Remembers whether the last requests were alone."""

    def __init__(self) -> None:
        self._alone = _SURE
        self.likely = True
        """Whether the next request is expected to be alone."""

    def note(self, alone: bool) -> None:
        """Record whether a request was alone, or several came together."""
        self._alone = self._alone + 1 if alone else 0
        self.likely = self._alone >= _SURE
