"""Keeps production of one model on the version that a registry address names."""

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from foretell.mlflow.add_process import add_in_process
from foretell.mlflow.address import FollowSetting
from foretell.mlflow.mlflow_registry import MlflowRegistry, RegistryError
from foretell.settings import ServeSettings
from foretell_contract.errors import SetupError
from foretell_lifecycle.failpoint import failpoint
from grpc_server.changes import peers
from grpc_server.changes.convergence import Servers
from grpc_server.changes.route_changes import ChangeRequest, RouteChanger
from grpc_server.errors import ModelError, Unwritable
from grpc_server.store.alias_sync_state import AliasSyncFile, AliasSyncState, SyncOutcome
from grpc_server.store.manifest import RegistrySource
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, RouteTable
from grpc_server.store.route_table_files import RouteTableFiles

logger = logging.getLogger(__name__)

_LOCK = ".followed.lock"

_Promote: TypeAlias = Callable[[AliasSyncState, str], AliasSyncState]


class AliasSync:
    """Adds and promotes a new version whenever the address names another one. Blocking, for one thread.

    Of several processes that follow for one repository, one leads and the others stand by.
    """

    def __init__(self, setting: FollowSetting, settings: ServeSettings, response_type: Any, scratch: Path) -> None:
        """`response_type` is the class of foretell.v1.ListModelsResponse; `scratch` is a folder for downloads."""
        self._scratch = scratch
        self._name = setting.name
        self._address = setting.address
        self._settings = settings
        self._folder = None if settings.control == "off" else settings.control_folder
        self._servers = Servers(self._folder, settings.grpc_address, response_type)
        self._repository = Repository(settings.models)
        self._route_tables = RouteTableFiles(self._repository)
        self._state_file = AliasSyncFile(self._repository, self._name)
        self._lock: int | None = None
        self._last_error: type[SetupError] | None = None
        """Type of the last error logged, so that a persistent failure is logged once."""

    def has_version(self) -> bool:
        """Whether the repository has a version to serve, not counting one from the registry that never passed the gates."""
        state, routes = self._state_file.read(), self._route_tables.read(self._name)
        if state is None or state.outcome == "promoted" or any(change.who != state.address for change in routes.history):
            return bool(self._repository.versions(self._name))
        return any(version != state.version for version in self._repository.versions(self._name))

    def try_lead(self) -> bool:
        """Takes the lock of the leading process, and keeps it; False if another process holds it. Raises Unwritable."""
        if self._lock is None:
            folder = self._repository.folder(self._name)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise Unwritable(f"cannot write to {folder}: {error.strerror}") from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
        return True

    def start(self, registry: MlflowRegistry) -> None:
        """Adds and promotes a first version to serve. Raises SetupError if that is impossible.

        Does not wait for the gates: the servers that start with the version decide.
        """
        source = registry.resolve(self._address)
        started = self._apply(registry, source, self._promote_unchecked)
        if started.outcome == "refused":
            raise ModelError(f"{source.address} cannot be served: {started.reason}")

    def poll(self, registry: MlflowRegistry) -> None:
        """Applies the address if it has moved. Logs a persistent failure once, and its end."""
        try:
            if not self.try_lead():
                return
            source = registry.resolve(self._address)
            state = self._state_file.read()
            handled = (state.address, state.source) if state and state.outcome != "started" else None
            if handled != (str(self._address), source):
                self._apply(registry, source, self._promote)
        except SetupError as error:
            self.log_failure(error)
            return
        if self._last_error is not None:
            self._last_error = None
            logger.info("%s is followed again", self._address)

    def log_failure(self, error: SetupError) -> None:
        """Logs an error, unless the last one had the same type."""
        if type(error) is not self._last_error:
            self._last_error = type(error)
            logger.error("%s; model %s keeps its version, and the registry is polled again", error, self._name)

    def _apply(self, registry: MlflowRegistry, source: RegistrySource, promote: _Promote) -> AliasSyncState:
        """Adds a registry version, unless it was added, and promotes it. Raises SetupError for a failure that may pass."""
        routes, earlier = self._route_tables.read(self._name), self._state_file.read()
        address, generation, now = str(self._address), routes.generation, datetime.now(UTC)
        started = AliasSyncState(address=address, source=source, outcome="started", generation=generation, when=now)
        try:
            version = self._version_of(source) or self._fetch(registry, source)
        except (RegistryError, Unwritable):
            raise
        except ModelError as error:
            return self._refused(started, str(error))
        started = started.model_copy(update={"version": version})
        if earlier and earlier.outcome == "started" and (earlier.source, earlier.version) == (started.source, version):
            return self._resume(earlier, version, routes, promote)
        if routes.aliases.get(PRODUCTION) == version:
            return self._done(started, "promoted")
        self._state_file.write(started)
        failpoint("follow-started")
        return promote(started, version)

    def _resume(self, earlier: AliasSyncState, version: str, routes: RouteTable, promote: _Promote) -> AliasSyncState:
        """Completes a promotion that `start`, or a process that ended, left unfinished."""
        later = [change for change in routes.history if change.generation > earlier.generation]
        ours = [change for change in later if change.who == earlier.address]
        if not ours:
            return promote(earlier, version)
        if later[-1].what in ("undo", "rollback") and later[-1].before == version:
            return self._done(earlier, "refused", "a server refused it")
        if later[-1] is not ours[-1]:
            return self._done(earlier, "promoted")  # The route table was changed since.
        convergence = self._servers.wait_for(self._name, routes.generation, version, lambda _gate: None)
        if convergence.outcome == "no server":
            return earlier  # Servers that start now decide.
        if convergence.outcome != "refused":
            return self._done(earlier, "promoted")
        with suppress(ModelError):  # There may be no version before.
            self._changer(earlier, check=False, wait=False).rollback(PRODUCTION)
        return self._refused(earlier, convergence.text)

    def _promote_unchecked(self, started: AliasSyncState, version: str) -> AliasSyncState:
        self._changer(started, check=False, wait=False).promote(version, PRODUCTION)
        return started

    def _promote(self, started: AliasSyncState, version: str) -> AliasSyncState:
        servers_run = bool(self._folder and peers.running(self._folder))  # Then their gates decide, and remember refusals.
        try:
            result = self._changer(started, check=not servers_run, wait=True).promote(version, PRODUCTION)
        except ModelError as error:
            if not error.gate:
                raise
            return self._refused(started, str(error))
        failpoint("follow-promoted")
        logger.info("%s, because %s names %s", result.done, self._address, started.source.address)
        return self._done(started, "promoted")

    def _changer(self, started: AliasSyncState, *, check: bool, wait: bool) -> RouteChanger:
        request = ChangeRequest(started.address, f"it names {started.source.address}", check=check, wait=wait)
        return RouteChanger(self._name, self._settings, self._servers, request)

    def _version_of(self, source: RegistrySource) -> str | None:
        for version in reversed(self._repository.versions(self._name)):
            if self._repository.manifest(self._name, version).source == source:
                return version
        return None

    def _fetch(self, registry: MlflowRegistry, source: RegistrySource) -> str:
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            version = add_in_process(self._name, registry.download(source, Path(folder)), source, self._settings)
        logger.info("added %s version %s, which is %s", self._name, version, source.address)
        return version

    def _refused(self, started: AliasSyncState, reason: str) -> AliasSyncState:
        logger.error("%s is refused: %s; it is not tried again until %s moves", started.source.address, reason, self._address)
        return self._done(started, "refused", reason)

    def _done(self, started: AliasSyncState, outcome: SyncOutcome, reason: str = "") -> AliasSyncState:
        state = started.model_copy(update={"outcome": outcome, "reason": reason, "when": datetime.now(UTC)})
        self._state_file.write(state)
        return state
