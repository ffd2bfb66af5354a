"""What the docs page says about the contracts as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foretell_contract.custom_options import CustomOptions

_MOST_TITLES = 3


@dataclass(frozen=True, slots=True)
class ApiInfo:
    """What one contract says of itself, or several together."""

    title: str
    version: str
    contact: dict[str, str]
    """Some of name, url and email; empty where the contract names nobody."""
    description: str
    """Markdown: the comment at the top of the file."""


def read_api_info(file: Any, options: CustomOptions, comment: str) -> ApiInfo:
    """What a file says in `foretell.v1.api`; without it, its package is the title."""
    said = options.get(file, "foretell.v1.api")
    if said is None:
        return ApiInfo(file.package, "", {}, comment)
    return ApiInfo(said.title, said.version, {field.name: value for field, value in said.contact.ListFields()}, comment)


def merged(apis: Sequence[ApiInfo]) -> ApiInfo:
    """One that speaks for all: a chapter for each, and what they all say alike."""
    if len(apis) == 1:
        return apis[0]
    first, *others = apis
    return ApiInfo(
        title=_listed(list(dict.fromkeys(api.title for api in apis))),
        version=", ".join(sorted({api.version for api in apis if api.version})),
        contact=first.contact if all(api.contact == first.contact for api in others) else {},
        description="\n\n".join(f"# {api.title} {api.version}".rstrip() + f"\n\n{api.description}" for api in apis),
    )


def _listed(titles: list[str]) -> str:
    return ", ".join(titles) if len(titles) <= _MOST_TITLES else f"{titles[0]} and {len(titles) - 1} more"
