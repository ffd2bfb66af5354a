"""A host that follows the record of an iris model, and what a test sees of it."""

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
    host = open_served_model(loader(root, contract, **settings))
    host.look()
    try:
        yield host
    finally:
        host.close(10)


def served(host: ServedModel) -> str:
    return host.lineup.production.version.version


def in_memory(host: ServedModel) -> list[str]:
    return sorted(version.version for version in host.versions)


def settled(host: ServedModel) -> None:
    until(host, lambda: host.rollout is None)


def follow(host: ServedModel, root: Path, version: str) -> None:
    """Promote a version, and wait until it is through the gates, or refused."""
    promote(root, version)
    host.look()
    settled(host)
