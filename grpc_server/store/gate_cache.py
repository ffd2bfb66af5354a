"""Remembers which versions passed the gates in a server, so that a start loads them without a trial in a process of its own."""

from contextlib import suppress
from pathlib import Path

from grpc_server.errors import ModelError
from grpc_server.store.repository import Repository

_FOLDER = ".proven"


class GateCache:
    """The versions of one model that passed: an empty file each, in a folder beside the versions. Safe to delete."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository
        self._name = name

    def has(self, version: str) -> bool:
        """Whether the version passed. Raises ModelError for an unknown version."""
        return self._file(version).exists()

    def add(self, version: str) -> None:
        """Records that the version passed. Does nothing if the repository is read-only or the version was removed."""
        with suppress(OSError, ModelError):
            file = self._file(version)
            file.parent.mkdir(exist_ok=True)
            file.touch()

    def _file(self, version: str) -> Path:
        digest = self._repository.manifest(self._name, version).digest  # A removed version's number can be given again.
        return self._repository.folder(self._name) / _FOLDER / f"{version}-{digest}"
