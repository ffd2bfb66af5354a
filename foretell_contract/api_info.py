"""Title, version and contact of contracts, for the OpenAPI document and the docs page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foretell_contract.custom_options import CustomOptions

_MOST_TITLES = 3


@dataclass(frozen=True, slots=True)
class ApiInfo:
    """The `info` of one contract, or of several that are served together."""

    title: str
    version: str
    contact: dict[str, str]
    """Any of name, url and email; empty if the contract gives none."""
    description: str
    """Markdown: the comment at the top of the file."""


def read_api_info(file: Any, options: CustomOptions, comment: str) -> ApiInfo:
    """The `foretell.v1.api` option of a file; a file without it is titled by its package."""
    api = options.get(file, "foretell.v1.api")
    if api is None:
        return ApiInfo(file.package, "", {}, comment)
    return ApiInfo(api.title, api.version, {field.name: value for field, value in api.contact.ListFields()}, comment)


def merged(infos: Sequence[ApiInfo]) -> ApiInfo:
    """One info for all: all titles and versions, a chapter of description for each, and the contact if they share one."""
    if len(infos) == 1:
        return infos[0]
    first, *others = infos
    titles = list(dict.fromkeys(info.title for info in infos))
    return ApiInfo(
        title=", ".join(titles) if len(titles) <= _MOST_TITLES else f"{first.title} and {len(titles) - 1} more",
        version=", ".join(sorted({info.version for info in infos if info.version})),
        contact=first.contact if all(info.contact == first.contact for info in others) else {},
        description="\n\n".join(f"# {info.title} {info.version}".rstrip() + f"\n\n{info.description}" for info in infos),
    )
