"""Turns names of columns, classes and targets into valid names for a contract, and suggests names for misspelt ones."""

import keyword
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")
_ENUM_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z0-9])(?=[A-Z](?![A-Z0-9_]|$))")
_NO_LETTER = re.compile(r"[^a-z0-9]+")


def snake(name: str, otherwise: str) -> str:
    """`sepal_length_cm` for `sepal length (cm)`. `otherwise` goes before a name that starts with a digit or has no Latin letter."""
    found = _plain(name)
    return found if found[:1].isalpha() else f"{otherwise}_{found}".rstrip("_")


def pascal(name: str, otherwise: str) -> str:
    """`SepalLengthCm` for `sepal length (cm)`."""
    return "".join(part.capitalize() for part in snake(name, otherwise).split("_"))


def upper(name: str, otherwise: str) -> str:
    """`SEPAL_LENGTH_CM` for `sepal length (cm)`, to use behind a prefix: `5G_MAX` for `5G Max`. `otherwise` if nothing is left."""
    return (_plain(name) or otherwise).upper()


def enum_prefix(enum: str) -> str:
    """Prefix of the values of an enum, as `buf lint` demands it: `SPECIES_` for `Species`, `KIND0A_` for `Kind0A`."""
    return f"{_ENUM_WORD_START.sub('_', enum).upper()}_"


def _plain(name: str) -> str:
    plain = unicodedata.normalize("NFKD", _WORD_START.sub("_", name).replace("ß", "ss")).encode("ascii", "ignore").decode()
    return _NO_LETTER.sub("_", plain.lower()).strip("_")


class Names:
    """Keeps the names in one message or enum unique. Not thread-safe.

    Names that differ only in underscores or case count as equal, because they are one name in JSON.
    """

    def __init__(self, taken: Iterable[str] = (), joint: str = "_") -> None:
        """`taken` are names in use; `joint` separates a name from its number."""
        self._joint = joint
        self._taken = {_key(name) for name in taken}

    def take(self, name: str) -> str:
        """Reserve the name, with the first free number appended if it is taken. A Python keyword gets the suffix `_value`."""
        wanted = f"{name}_value" if keyword.iskeyword(name) else name
        found, number = wanted, 2
        while _key(found) in self._taken:
            found, number = f"{wanted}{self._joint}{number}", number + 1
        self._taken.add(_key(found))
        return found


def _key(name: str) -> str:
    return name.replace("_", "").lower()


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


def counted(number: int, noun: str) -> str:
    """`1 column`, `2 columns`."""
    return f"{number} {noun}{'s' * (number != 1)}"
