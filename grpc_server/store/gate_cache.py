"""Which versions of a model have passed the gates in a server: at a start, these need no process of their own to be tried in."""

from contextlib import suppress
from pathlib import Path

from grpc_server.errors import ModelError
from grpc_server.store.repository import Repository

_PROVEN = ".proven"


class GateCache:
    """A folder beside the versions, with an empty file for each. To lose it costs a start the seconds of a trial."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository
        self._name = name

    def knows(self, version: str) -> bool:
        """Whether it has. Raises ModelError where there is no such version."""
        return self._file(version).exists()

    def note(self, version: str) -> None:
        """It has. Where the repository is not to be written to, or the version is gone by now, nothing is."""
        with suppress(OSError, ModelError):
            file = self._file(version)
            file.parent.mkdir(exist_ok=True)
            file.touch()

    def _file(self, version: str) -> Path:
        digest = self._repository.manifest(self._name, version).digest  # The number may have been another's, which was removed.
        return self._repository.folder(self._name) / _PROVEN / f"{version}-{digest}"
