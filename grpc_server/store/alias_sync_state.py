"""`followed.json`: what was last done because an alias in a registry named a version, beside the record of the model."""

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grpc_server.errors import RecordUnreadable, Unwritable
from grpc_server.store import durable
from grpc_server.store.manifest import Source
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import Version

FOLLOWED = "followed.json"

Outcome: TypeAlias = Literal["started", "promoted", "refused"]


class AliasSyncState(BaseModel):
    """The last thing that was done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    """What is followed, such as `models:/iris@champion`."""
    source: Source
    """What it named."""
    version: Version | None = None
    """What that is here; None where it was refused before it was a version."""
    outcome: Outcome
    reason: str = ""
    """Why it was refused, for people."""
    generation: int = Field(ge=0)
    """Of the record, when it was begun."""
    when: datetime


class AliasSyncStore:
    """`followed.json` of one model. A write is durable before it returns."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._path = repository.folder(name) / FOLLOWED

    def read(self) -> AliasSyncState | None:
        """None where nothing was done yet. Raises RecordUnreadable."""
        try:
            return AliasSyncState.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            raise RecordUnreadable(f"{self._path} cannot be read: restore it from a copy, or remove it") from None

    def write(self, followed: AliasSyncState) -> None:
        """Replace it. Raises Unwritable."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            durable.replace(self._path, followed.model_dump_json(indent=2).encode() + b"\n")
        except OSError as error:
            raise Unwritable(f"cannot write {self._path}: {error.strerror}") from None
