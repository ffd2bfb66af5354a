"""Reads and changes the route tables on disk: many readers, one writer at a time."""

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from pydantic import ValidationError

from grpc_server.errors import ChangeRefused, GenerationConflict, StateUnreadable, Unwritable
from grpc_server.store import durable
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, Attribution, RouteTable

ROUTES = "routes.json"
ANSWERED = ".answered.json"
_LOCK = ".routes.lock"

Stamp: TypeAlias = tuple[int, int, int] | None


class RouteTableFiles:
    """`routes.json` of each model of a repository. Safe for several processes; a write is durable before it returns.

    Beside it, `.answered.json` holds the version that last answered for each alias: after promotions that no server followed, and
    if `routes.json` is lost, the versions that it names never answered.
    """

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

        Holds the writers' lock meanwhile, and writes nothing if `edit` returns its argument. Raises what `edit` raises,
        GenerationConflict if the result is not the next generation, or ModelError if the file cannot be read or written; the file
        is then unchanged.
        """
        folder = self._repository.folder(name)
        try:
            with (folder / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self.read(name)
                after = edit(before)
                if after is before:
                    return before
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

    def ensure_production(self, name: str, version: str, reason: str) -> RouteTable:
        """The route table, in which `version` becomes production if there is none. Raises ModelError as `change`."""

        def edit(routes: RouteTable) -> RouteTable:
            return routes if PRODUCTION in routes.aliases else routes.promote(version, PRODUCTION, Attribution.now(reason))

        routes = self.read(name)
        return routes if PRODUCTION in routes.aliases else self.change(name, edit)

    def answered(self, name: str) -> dict[str, str]:
        """The version that last answered for each alias; empty if no server has noted it."""
        try:
            noted = json.loads((self._repository.folder(name) / ANSWERED).read_bytes())
        except (OSError, ValueError):
            return {}
        return {alias: str(version) for alias, version in noted.items()} if isinstance(noted, dict) else {}

    def note_answered(self, name: str, versions: Mapping[str, str]) -> None:
        """Notes for `answered`, by alias. Does nothing in a read-only repository."""
        if versions != self.answered(name):
            with suppress(OSError):
                durable.replace(self._repository.folder(name) / ANSWERED, json.dumps(versions).encode())

    def _path(self, name: str) -> Path:
        return self._repository.folder(name) / ROUTES
