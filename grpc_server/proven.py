"""Which versions of a model have passed the gates in a server: at a start, these need no process of their own to be tried in."""

from contextlib import suppress

from grpc_server.repository import Repository

_PROVEN = ".proven"


class Proven:
    """A folder beside the versions, with an empty file for each. To lose it costs a start the seconds of a trial."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._folder = repository.folder(name) / _PROVEN

    def knows(self, version: str) -> bool:
        """Whether it has."""
        return (self._folder / version).exists()

    def note(self, version: str) -> None:
        """It has. Where the repository is not to be written to, nothing is."""
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            (self._folder / version).touch()
