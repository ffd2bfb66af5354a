"""Addresses of models in an MLflow registry (`models:/iris@champion`, `models:/iris/3`, `models:/iris/latest`), and `--follow`."""

import re
from dataclasses import dataclass
from typing import Self

from foretell_contract.errors import SetupError

_FORM = re.compile(r"models:/(?P<name>[^/@:]+)(@(?P<alias>[^/@]+)|/(?P<version>[1-9][0-9]*|latest))")
_FORMS = "models:/NAME@ALIAS, models:/NAME/3 or models:/NAME/latest"
_FOLLOWED_FORMS = "models:/NAME@ALIAS or models:/NAME/latest, after MODEL= if the model has another name here"


@dataclass(frozen=True, slots=True)
class Address:
    """A version of a registered model: by alias, by number, or the newest."""

    name: str
    alias: str = ""
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
    return location.startswith("models:")


@dataclass(frozen=True, slots=True)
class FollowSetting:
    """A model here and the address that it follows."""

    name: str
    address: Address

    def __str__(self) -> str:
        return str(self.address) if self.name == self.address.name else f"{self.name}={self.address}"


def follow_settings(listed: str | None) -> list[FollowSetting]:
    """Parses a list separated by commas. Raises SetupError for an address that cannot be followed."""
    found = [_follow_setting(text) for text in map(str.strip, (listed or "").split(",")) if text]
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise SetupError(f"the model {name!r} follows {names.count(name)} addresses: keep one of them")
    return found


def _follow_setting(text: str) -> FollowSetting:
    name, _, address_text = ("", "", text) if is_address(text) else text.partition("=")
    if not is_address(address_text):
        raise SetupError(f"{text[:200]!r} cannot be followed: write {_FOLLOWED_FORMS}")
    address = Address.parse(address_text)
    if not address.moves:
        raise SetupError(f"{address} never moves: follow {_FOLLOWED_FORMS}, or add it with `foretell add {address}`")
    return FollowSetting(name or address.name, address)
