"""Suggests the known name that a misspelt one probably means."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean "petal_width"?` for the known name closest to `name`; empty if none is close.

    lowerCamel is always close to its snake_case.
    """
    close = closest(name, known)
    return f'; did you mean "{close}"?' if close else ""


def closest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name`; empty if none is close."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name[:100])
    close = get_close_matches(snake, list(known), n=1, cutoff=0.6)
    return close[0] if close else ""
