"""The paths of the bridge's own pages, which a contract cannot use for its methods."""

from collections.abc import Iterator

from foretell_contract.contract import Contract
from foretell_contract.problem import Problem, error

_OWN = {"/docs", "/redoc", "/openapi.json", "/healthz", "/readyz", "/models", "/contract", "/contract.binpb"}


def is_own(path: str, contract: Contract) -> bool:
    """Whether the bridge has a page on this path."""
    files = {f"/contract/{name}" for name in (*contract.sources, *contract.images)}
    return path in _OWN or path in files or path.startswith("/docs/")


def collisions(contract: Contract) -> Iterator[Problem]:
    """A problem for each method with such a path."""
    for service in contract.services:
        for method in service.methods:
            for path in method.paths:
                if is_own(path, contract):
                    reason = f"the REST path {path} of {method.full_name} is one of the bridge's own pages"
                    yield error(method.full_name, reason, "give it another path in google.api.http")
