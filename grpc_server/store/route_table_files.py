"""Reads and changes the route tables on disk: many readers, one writer at a time."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from pydantic import ValidationError

from grpc_server.errors import ChangeRefused, GenerationConflict, StateUnreadable, Unwritable
from grpc_server.store import durable
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import RouteTable

ROUTES = "routes.json"
_LOCK = ".routes.lock"

Stamp: TypeAlias = tuple[int, int, int] | None


class RouteTableFiles:
    """`routes.json` of each model of a repository. Safe for several processes; a write is durable before it returns."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def read(self, name: str) -> RouteTable:
        """The route table of a model; generation 0 without a file. Raises StateUnreadable for an invalid file."""
        path = self._path(name)
        try:
            return RouteTable.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return RouteTable()
        except OSError as error:
            raise StateUnreadable(f"{path} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            location = ".".join(map(str, first["loc"])) or "the file"
            raise StateUnreadable(f"{path} is no route table ({location}: {first['msg']}): restore it from a copy") from None

    def stamp(self, name: str) -> Stamp:
        """A value that differs after each change of the file; None without a file. Costs one `stat`."""
        try:
            status = os.stat(self._path(name))
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def change(self, name: str, edit: Callable[[RouteTable], RouteTable]) -> RouteTable:
        """Replaces the route table by `edit` of it and returns the new one, durable.

        Holds the writers' lock meanwhile. Raises what `edit` raises, GenerationConflict if the result is not the next generation,
        or ModelError if the file cannot be read or written; the file is then unchanged.
        """
        folder = self._repository.folder(name)
        try:
            with (folder / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self.read(name)
                after = edit(before)
                if after.generation != before.generation + 1:
                    raise GenerationConflict(
                        f"the route table of {name} is at generation {before.generation}, not {after.generation - 1}: read it again"
                    )
                durable.replace(folder / ROUTES, after.model_dump_json(indent=2).encode() + b"\n")
        except FileNotFoundError:
            raise ChangeRefused(f"there is no model {name!r} in {self._repository.root}: add one first") from None
        except OSError as error:
            raise Unwritable(f"cannot write to {folder}: {error.strerror}") from None
        return after

    def _path(self, name: str) -> Path:
        return self._repository.folder(name) / ROUTES
