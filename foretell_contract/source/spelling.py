"""Turns names of columns, classes and targets into valid names for a contract, and suggests names for misspelt ones."""

import keyword
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from anyascii import anyascii

_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")
_ENUM_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z0-9])(?=[A-Z](?![A-Z0-9_]|$))")
_NO_LETTER = re.compile(r"[^a-z0-9]+")
_OTHER_SCRIPT = re.compile(r"[^\x00-\x7f]+")
_NUMBER = re.compile(r"((minus|plus)_)?[0-9]")

_SIGNS = (
    (re.compile(r"(?<![A-Za-z0-9])-(?=\.?[0-9])"), " minus "),
    (re.compile(r"(?<=[A-Za-z0-9])-(?=\s|$)"), " minus "),
    (re.compile(r"\+"), " plus "),
    (re.compile(r"<="), " at_most "),
    (re.compile(r">="), " at_least "),
    (re.compile(r"(?<![-=<])<(?![->])"), " below "),
    (re.compile(r"(?<![-=<])>"), " above "),
    (re.compile(r"%"), " percent "),
    (re.compile(r"&"), " and "),
    (re.compile(r"#$"), " sharp "),
    (re.compile(r"#"), " number "),
    (re.compile(r"\$"), " dollar "),
)
"""Signs that tell names apart, in words."""


def snake(name: str, otherwise: str) -> str:
    """`sepal_length_cm` for `sepal length (cm)`. `otherwise` goes before a number: `class_minus_1` for `-1`."""
    found = _plain(name) or _spelled_out(name)
    return f"{otherwise}_{found}" if _NUMBER.match(found) else found or otherwise


def pascal(name: str, otherwise: str) -> str:
    """`SepalLengthCm` for `sepal length (cm)`."""
    return "".join(part.capitalize() for part in snake(name, otherwise).split("_"))


def upper(name: str, otherwise: str) -> str:
    """`SEPAL_LENGTH_CM` for `sepal length (cm)`, to use behind a prefix: `5G_MAX` for `5G Max`. `otherwise` if nothing is left."""
    return (_plain(name) or _spelled_out(name) or otherwise).upper()


def enum_prefix(enum: str) -> str:
    """Prefix of the values of an enum, as `buf lint` demands it: `SPECIES_` for `Species`, `KIND0A_` for `Kind0A`."""
    return f"{_ENUM_WORD_START.sub('_', enum).upper()}_"


def _plain(name: str) -> str:
    # Apostrophes in a transliteration stand for no letter: "ploshchad'".
    plain = _OTHER_SCRIPT.sub(lambda part: anyascii(part[0]).replace("'", ""), name)
    for sign, word in _SIGNS:
        plain = sign.sub(word, plain)
    return _NO_LETTER.sub("_", _WORD_START.sub("_", plain).lower()).strip("_")


def _spelled_out(name: str) -> str:
    """The names of up to three characters: `question_mark` for `?`; `empty` for no characters."""
    names = " ".join(unicodedata.name(letter, "") for letter in name[:3]) if name else "empty"
    return _NO_LETTER.sub("_", names.lower()).strip("_")


class Names:
    """Keeps the names in one message or enum unique. Not thread-safe.

    Names that differ only in underscores or case count as equal, because they are one name in JSON.
    """

    def __init__(self, taken: Iterable[str] = (), joint: str = "_") -> None:
        """`taken` are names in use; `joint` separates a name from its number, and is empty for PascalCase."""
        self._joint = joint
        self._taken = {_key(name) for name in taken}
        self._numbers: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Reserve the name, with the first free number appended if it is taken. A Python keyword gets the suffix `value`."""
        wanted = f"{name}{self._joint}{'value' if self._joint else 'Value'}" if keyword.iskeyword(name) else name
        found, number = wanted, self._numbers.get(wanted, 2)
        while _key(found) in self._taken:
            found, number = f"{wanted}{self._joint}{number}", number + 1
        self._numbers[wanted] = number
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
