"""Names of a contract made from any names: those of columns, classes and targets."""

import keyword
import re
import unicodedata
from collections.abc import Iterable

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")
_ENUM_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z0-9])(?=[A-Z](?![A-Z0-9_]|$))")
_NO_LETTER = re.compile(r"[^a-z0-9]+")


def snake(name: str, otherwise: str) -> str:
    """`sepal_length_cm` for `sepal length (cm)`; `otherwise` goes before what begins with a digit or has no Latin letter."""
    found = _plain(name)
    return found if found[:1].isalpha() else f"{otherwise}_{found}".rstrip("_")


def pascal(name: str, otherwise: str) -> str:
    """`SepalLengthCm` for `sepal length (cm)`."""
    return "".join(part.capitalize() for part in snake(name, otherwise).split("_"))


def upper(name: str, otherwise: str) -> str:
    """`SEPAL_LENGTH_CM` for `sepal length (cm)`, `5G_MAX` for `5G Max`, since a prefix goes before it; else `otherwise`."""
    return (_plain(name) or otherwise).upper()


def enum_prefix(enum: str) -> str:
    """What the names of an enum's values begin with: `SPECIES_` for `Species`, `KIND0A_` for `Kind0A`, as `buf lint` has it."""
    return f"{_ENUM_HUMP.sub('_', enum).upper()}_"


def _plain(name: str) -> str:
    plain = unicodedata.normalize("NFKD", _HUMP.sub("_", name).replace("ß", "ss")).encode("ascii", "ignore").decode()
    return _NO_LETTER.sub("_", plain.lower()).strip("_")


class Names:
    """Gives each thing of one message or enum a name of its own.

    Two names that differ in underscores alone are one name in JSON, so they count as the same.
    """

    def __init__(self, taken: Iterable[str] = (), joint: str = "_") -> None:
        """`joint` goes between a name and its number."""
        self._joint = joint
        self._taken = {_key(name) for name in taken}

    def take(self, name: str) -> str:
        """The name, or else the name with the first number behind it that is free. No name is a word of Python's."""
        wanted = f"{name}_value" if keyword.iskeyword(name) else name
        found, number = wanted, 2
        while _key(found) in self._taken:
            found, number = f"{wanted}{self._joint}{number}", number + 1
        self._taken.add(_key(found))
        return found


def _key(name: str) -> str:
    return name.replace("_", "").lower()
