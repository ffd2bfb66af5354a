"""Whether a request that comes now is likely to be alone."""

_SURE = 4
"""Requests in a row without company after which the next is taken to be alone: where a few callers take turns, a guess from fewer
is wrong too often."""


class LoneRequestDetector:
    """A guess from how it was of late. To wait for company costs a lone request, and not to wait costs the others."""

    def __init__(self) -> None:
        self._alone = _SURE

    @property
    def likely(self) -> bool:
        """Whether the next is taken to be alone."""
        return self._alone >= _SURE

    def note(self, alone: bool) -> None:
        """How it was with one, or with those who came together."""
        self._alone = self._alone + 1 if alone else 0
