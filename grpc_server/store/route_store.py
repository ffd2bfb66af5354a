"""The records on disk: read by every server, changed by one writer at a time."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from pydantic import ValidationError

from grpc_server.errors import ChangeRefused, GenerationMoved, RecordUnreadable, Unwritable
from grpc_server.store import durable
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import Routes

ROUTES = "routes.json"
_LOCK = ".routes.lock"

Stamp: TypeAlias = tuple[int, int, int] | None


class RouteStore:
    """`routes.json` of each model of a repository. Safe for several processes; a write is durable before it returns."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def read(self, name: str) -> Routes:
        """The record of a model; generation 0 where it has none. Raises RecordUnreadable for a file that is no record."""
        path = self._path(name)
        try:
            return Routes.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Routes()
        except OSError as error:
            raise RecordUnreadable(f"{path} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise RecordUnreadable(f"{path} is no record of routes ({place}: {first['msg']}): restore it from a copy") from None

    def stamp(self, name: str) -> Stamp:
        """Something that is another whenever the record is; None where there is none. Costs one look at the folder."""
        try:
            status = os.stat(self._path(name))
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def change(self, name: str, edit: Callable[[Routes], Routes]) -> Routes:
        """Replace the record by what `edit` makes of it; the new one, durable.

        Nobody else writes meanwhile, so that `edit` sees what it replaces. Raises what `edit` raises, or ModelError where the
        record cannot be read or written; it is then as before.
        """
        with self._locked(name):
            before = self.read(name)
            after = edit(before)
            if after.generation != before.generation + 1:
                raise GenerationMoved(f"the record of {name} is at generation {before.generation}, not {after.generation - 1}")
            durable.replace(self._path(name), after.model_dump_json(indent=2).encode() + b"\n")
            return after

    def replace(self, name: str, routes: Routes) -> None:
        """Compare and set: write `routes` where its predecessor is still the record. Raises GenerationMoved, or as `change`."""
        self.change(name, lambda _before: routes)

    def _path(self, name: str) -> Path:
        return self._repository.folder(name) / ROUTES

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        folder = self._repository.folder(name)
        try:
            with (folder / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except FileNotFoundError:
            raise ChangeRefused(f"there is no model {name!r} in {self._repository.root}") from None
        except OSError as error:
            raise Unwritable(f"cannot write to {folder}: {error.strerror}") from None
