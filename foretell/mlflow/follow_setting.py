"""Parses `--follow`: pairs of a model here and the registry address that it follows."""

from dataclasses import dataclass

from foretell.mlflow.address import Address, is_address
from foretell_contract.errors import SetupError

_FORMS = "models:/NAME@ALIAS or models:/NAME/latest, after MODEL= if the model has another name here"


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
        raise SetupError(f"{text[:200]!r} cannot be followed: write {_FORMS}")
    address = Address.parse(address_text)
    if not address.moves:
        raise SetupError(f"{address} never moves: follow {_FORMS}, or add it with `foretell add {address}`")
    return FollowSetting(name or address.name, address)
