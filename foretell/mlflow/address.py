"""Addresses of models in an MLflow registry: `models:/iris@champion`, `models:/iris/3`, `models:/iris/latest`."""

import re
from dataclasses import dataclass
from typing import Self

from foretell_contract.errors import SetupError

_SCHEME = "models:"
_FORM = re.compile(r"models:/(?P<name>[^/@:]+)(@(?P<alias>[^/@]+)|/(?P<version>[1-9][0-9]*|latest))")
_FORMS = "models:/NAME@ALIAS, models:/NAME/3 or models:/NAME/latest"


@dataclass(frozen=True, slots=True)
class Address:
    """A version of a registered model: by alias, by number, or the newest."""

    name: str
    """Name of the registered model."""
    alias: str = ""
    """Empty if `version` is set."""
    version: str = ""
    """A number or `latest`; empty if `alias` is set."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises SetupError for an invalid address."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise SetupError(f"{text[:200]!r} is no address of a registry: write {_FORMS}")
        return cls(found["name"], found["alias"] or "", found["version"] or "")

    @property
    def moves(self) -> bool:
        """Whether the version that it names can change."""
        return not self.version.isdecimal()

    def __str__(self) -> str:
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"


def is_address(location: str) -> bool:
    """Whether a location is an address, valid or not, rather than a path."""
    return location.startswith(_SCHEME)
