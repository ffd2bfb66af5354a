"""Addresses of models in a registry of MLflow's: `models:/iris@champion`, `models:/iris/3`, `models:/iris/latest`."""

import re
from dataclasses import dataclass
from typing import Self

from foretell_contract.errors import SetupError

_SCHEME = "models:"
_FORM = re.compile(r"models:/(?P<name>[^/@:]+)(@(?P<alias>[^/@]+)|/(?P<version>[1-9][0-9]*|latest))")
_FORMS = "models:/NAME@ALIAS, models:/NAME/3 or models:/NAME/latest"


@dataclass(frozen=True, slots=True)
class Address:
    """A version of a registered model, by an alias, by its number, or the newest."""

    name: str
    """Of the model in the registry."""
    alias: str = ""
    """Empty where the version says it."""
    version: str = ""
    """A number or `latest`; empty where the alias says it."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises SetupError for what is no address."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise SetupError(f"{text[:200]!r} is no address of a registry: write {_FORMS}")
        return cls(found["name"], found["alias"] or "", found["version"] or "")

    @property
    def moves(self) -> bool:
        """Whether it may name another version tomorrow."""
        return not self.version.isdecimal()

    def __str__(self) -> str:
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"


def is_address(place: str) -> bool:
    """Whether this is meant as an address, and not as a path."""
    return place.startswith(_SCHEME)
