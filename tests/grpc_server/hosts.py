"""A host that follows the record of an iris model, and what a test sees of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contract.contract import Contract
from grpc_server.host import Host
from grpc_server.opening import open_host
from tests.grpc_server.candidates import loader, promote, until


@contextmanager
def opened(root: Path, contract: Contract, **settings: Any) -> Iterator[Host]:
    host = open_host(loader(root, contract, **settings))
    host.look()
    try:
        yield host
    finally:
        host.close(10)


def served(host: Host) -> str:
    return host.lineup.production.version.version


def in_memory(host: Host) -> list[str]:
    return sorted(version.version for version in host.versions)


def settled(host: Host) -> None:
    until(host, lambda: host.rollout is None)


def follow(host: Host, root: Path, version: str) -> None:
    """Promote a version, and wait until it is through the gates, or refused."""
    promote(root, version)
    host.look()
    settled(host)
