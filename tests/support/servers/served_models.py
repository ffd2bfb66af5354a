"""Opens a served iris model, changes its route table, and reads its state."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foretell_contract.contract import Contract
from grpc_server.versions.served_model import ServedModel
from grpc_server.versions.startup import open_served_model
from tests.support.models.candidates import loader, promote, until


@contextmanager
def opened(root: Path, contract: Contract, **settings: Any) -> Iterator[ServedModel]:
    served = open_served_model(loader(root, contract, **settings))
    served.refresh()
    try:
        yield served
    finally:
        served.close(10)


def production_of(served: ServedModel) -> str:
    return served.routing.production.version.version


def versions_in_memory(served: ServedModel) -> list[str]:
    return sorted(version.version for version in served.versions)


def wait_until_settled(served: ServedModel) -> None:
    until(served, lambda: served.rollout is None)


def promote_and_settle(served: ServedModel, root: Path, version: str) -> None:
    """Promotes a version and waits until the gates have passed or refused it."""
    promote(root, version)
    served.refresh()
    wait_until_settled(served)
