"""What `--follow` names: addresses in a registry, and the models here that follow them."""

from dataclasses import dataclass

from foretell.mlflow.address import Address, is_address
from foretell_contract.errors import SetupError

_FORMS = "models:/NAME@ALIAS or models:/NAME/latest, after MODEL= where the model is called otherwise here"


@dataclass(frozen=True, slots=True)
class FollowSetting:
    """A model here, and what it follows."""

    name: str
    address: Address

    def __str__(self) -> str:
        return str(self.address) if self.name == self.address.name else f"{self.name}={self.address}"


def follow_settings(listed: str | None) -> list[FollowSetting]:
    """Those in a list separated by commas, if any. Raises SetupError for what cannot be followed."""
    found = [_followee(text) for text in map(str.strip, (listed or "").split(",")) if text]
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise SetupError(f"the model {name!r} is to follow {names.count(name)} addresses: leave one of them")
    return found


def _followee(text: str) -> FollowSetting:
    name, _, place = ("", "", text) if is_address(text) else text.partition("=")
    if not is_address(place):
        raise SetupError(f"{text[:200]!r} cannot be followed: write {_FORMS}")
    address = Address.parse(place)
    if not address.moves:
        raise SetupError(f"{address} never moves: follow {_FORMS}, or add it with `foretell add {address}`")
    return FollowSetting(name or address.name, address)
