"""`followed.json`, beside a model's route table: the last registry version that its alias sync handled, and the outcome."""

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grpc_server.errors import StateUnreadable, Unwritable
from grpc_server.store import durable
from grpc_server.store.manifest import RegistrySource
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import Version

SyncOutcome: TypeAlias = Literal["started", "promoted", "refused"]


class AliasSyncState(BaseModel):
    """The last registry version that was handled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    """The followed address, such as `models:/iris@champion`."""
    source: RegistrySource
    version: Version | None = None
    """Its version in the repository; None if it was refused before it was added."""
    outcome: SyncOutcome
    reason: str = ""
    generation: int = Field(ge=0)
    """Generation of the route table at the start."""
    when: datetime


class AliasSyncFile:
    """`followed.json` of one model. A write is durable before it returns."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._path = repository.folder(name) / "followed.json"

    def read(self) -> AliasSyncState | None:
        """The state; None without a file. Raises StateUnreadable."""
        try:
            return AliasSyncState.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            raise StateUnreadable(f"{self._path} cannot be read: restore it from a copy, or remove it") from None

    def write(self, state: AliasSyncState) -> None:
        """Replaces the file. Raises Unwritable."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            durable.replace(self._path, state.model_dump_json(indent=2).encode() + b"\n")
        except OSError as error:
            raise Unwritable(f"cannot write {self._path}: {error.strerror}") from None
