"""The paths of the bridge's own pages, which a contract cannot use for its methods."""

from collections.abc import Iterator

from foretell_contract.contract import Contract
from foretell_contract.problem import Problem, error

_OWN = {"/docs", "/redoc", "/openapi.json", "/healthz", "/readyz", "/models", "/contract"}
_OWN |= {"/contract.binpb", "/contract/plain.binpb", "/contract/plain.zip"}


def is_page(path: str, contract: Contract) -> bool:
    """Whether the bridge has a page on this path, files of the docs left out."""
    files = {f"/contract/{name}" for name in (*contract.sources, *contract.imports, *contract.images)}
    return path in _OWN or path in files


def is_own(path: str, contract: Contract) -> bool:
    """Whether the bridge has a page or a file on this path, or reserves it for one."""
    return is_page(path, contract) or path.startswith("/docs/")


def collisions(contract: Contract) -> Iterator[Problem]:
    """A problem for each method with such a path."""
    for service in contract.services:
        for method in service.methods:
            for path in method.paths:
                if is_own(path, contract):
                    reason = f"the REST path {path} of {method.full_name} is one of the bridge's own pages"
                    yield error(method.full_name, reason, "give it another path in google.api.http")
