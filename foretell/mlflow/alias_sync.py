"""One address in a registry, and the model here that follows it."""

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from foretell.mlflow.add_process import Adoption, adopt
from foretell.mlflow.follow_setting import FollowSetting
from foretell.mlflow.mlflow_registry import MlflowRegistry, Registered, RegistryError
from foretell.settings import ServeSettings
from foretell_contract.errors import SetupError
from foretell_lifecycle.failpoint import failpoint
from grpc_server.changes import peers
from grpc_server.changes.convergence import Servers
from grpc_server.changes.route_changes import ChangeRequest, RouteChanger
from grpc_server.errors import ModelError, Unwritable
from grpc_server.store.alias_sync_state import AliasSyncFile, AliasSyncState, SyncOutcome
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, RouteTable
from grpc_server.store.route_table_files import RouteTableFiles

logger = logging.getLogger(__name__)

_LOCK = ".followed.lock"

_Promote: TypeAlias = Callable[[AliasSyncState, str], AliasSyncState]


class AliasSync:
    """Lets production of a model move whenever its address names another version. For one thread.

    Of several that follow for the same repository, one acts and the others stand by.
    """

    def __init__(self, followee: FollowSetting, settings: ServeSettings, response_type: Any, scratch: Path) -> None:
        """`response_type` is the class of foretell.v1.ListModelsResponse; `scratch` is a folder for what is fetched."""
        self._scratch = scratch
        self._name = followee.name
        self._address = followee.address
        self._settings = settings
        self._folder = None if settings.control == "off" else settings.control_folder
        self._servers = Servers(self._folder, settings.grpc_address, response_type)
        self._repository = Repository(settings.models)
        self._routes = RouteTableFiles(self._repository)
        self._store = AliasSyncFile(self._repository, self._name)
        self._lock: int | None = None
        self._trouble: type[SetupError] | None = None
        """What was last said of that keeps it from following, if anything does."""

    @property
    def servable(self) -> bool:
        """Whether there is a version to start with, other than one of the registry that has never answered."""
        followed, routes = self._store.read(), self._routes.read(self._name)
        if followed is None or followed.outcome == "promoted" or any(change.who != followed.address for change in routes.history):
            return bool(self._repository.versions(self._name))
        return any(version != followed.version for version in self._repository.versions(self._name))

    @property
    def leads(self) -> bool:
        """Whether this process is the one that acts. Raises Unwritable."""
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

    def begin(self, registry: MlflowRegistry) -> None:
        """Have a version to serve, where there is none yet. Raises SetupError where none can be had.

        It is put on record, and those that start with it tell whether it passes the gates.
        """
        registered = registry.resolve(self._address)
        started = self._act(registry, registered, self._offer)
        if started.outcome == "refused":
            raise ModelError(f"{registered.source.address} cannot be served: {started.reason}")

    def look(self, registry: MlflowRegistry) -> None:
        """Act if the address has moved. What keeps it from that is logged once, and once when it is over."""
        try:
            if not self.leads:
                return
            registered = registry.resolve(self._address)
            followed = self._store.read()
            if not self._is_done(followed, registered):
                self._act(registry, registered, self._promote)
        except SetupError as error:
            self.suffer(error)
        else:
            self._recover()

    def suffer(self, error: SetupError) -> None:
        """Say what keeps it from following, unless that was said before."""
        if type(error) is not self._trouble:
            self._trouble = type(error)
            logger.error("%s; %s is served as it is here, and asked for again", error, self._name)

    def _recover(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            logger.info("%s is followed again", self._address)

    def _is_done(self, followed: AliasSyncState | None, registered: Registered) -> bool:
        if followed is None or (followed.address, followed.source) != (str(self._address), registered.source):
            return False
        return followed.outcome != "started"

    def _act(self, registry: MlflowRegistry, registered: Registered, promote: _Promote) -> AliasSyncState:
        """Add what is registered, unless it is here, and promote it. Raises SetupError for what the next look may find mended."""
        routes, begun = self._routes.read(self._name), self._store.read()
        started = self._start(registered, routes)
        try:
            version = self._version_of(registered) or self._fetch(registry, registered)
        except (RegistryError, Unwritable):
            raise
        except ModelError as error:
            return self._refused(started, str(error))
        started = started.model_copy(update={"version": version})
        on_record = routes.aliases.get(PRODUCTION) == version
        if begun and begun.outcome == "started" and (begun.source, begun.version) == (started.source, version):
            return self._resume(begun, version, routes, promote)
        if on_record:
            return self._done(started, "promoted")
        self._store.write(started)
        failpoint("follow-started")
        return promote(started, version)

    def _resume(self, begun: AliasSyncState, version: str, routes: RouteTable, promote: _Promote) -> AliasSyncState:
        """Bring to its end what was begun, by `begin` or by a process that ended before it was done."""
        later = [change for change in routes.history if change.generation > begun.generation]
        ours = [change for change in later if change.who == begun.address]
        if not ours:
            return promote(begun, version)
        if later[-1] is not ours[-1]:
            return self._done(begun, "promoted")  # And somebody has changed the record since.
        if ours[-1].what == "rollback":
            return self._done(begun, "refused", "a server refused it")
        verdict = self._servers.wait_for(self._name, routes.generation, version, lambda _gate: None)
        if verdict.outcome == "no server":
            return begun  # Those that start now tell.
        if verdict.outcome != "refused":
            return self._done(begun, "promoted")
        with suppress(ModelError):  # There may be nothing to go back to.
            self._changer(begun, check=False, wait=False).rollback(PRODUCTION)
        return self._refused(begun, verdict.text)

    def _start(self, registered: Registered, routes: RouteTable) -> AliasSyncState:
        return AliasSyncState(
            address=str(self._address),
            source=registered.source,
            outcome="started",
            generation=routes.generation,
            when=datetime.now(UTC),
        )

    def _offer(self, started: AliasSyncState, version: str) -> AliasSyncState:
        self._changer(started, check=False, wait=False).promote(version, PRODUCTION)
        return started

    def _promote(self, started: AliasSyncState, version: str) -> AliasSyncState:
        served = bool(self._folder and peers.running(self._folder))  # They have gates, and remember what these refuse.
        try:
            changed = self._changer(started, check=not served, wait=True).promote(version, PRODUCTION)
        except ModelError as error:
            if not error.gate:
                raise
            return self._refused(started, str(error))
        failpoint("follow-promoted")
        logger.info("%s, because %s names %s", changed.done, self._address, started.source.address)
        return self._done(started, "promoted")

    def _changer(self, started: AliasSyncState, *, check: bool, wait: bool) -> RouteChanger:
        wish = ChangeRequest(started.address, f"it names {started.source.address}", check=check, wait=wait)
        return RouteChanger(self._name, self._settings, self._servers, wish)

    def _version_of(self, registered: Registered) -> str | None:
        """The version that it is here already."""
        for version in reversed(self._repository.versions(self._name)):
            if self._repository.manifest(self._name, version).source == registered.source:
                return version
        return None

    def _fetch(self, registry: MlflowRegistry, registered: Registered) -> str:
        settings, source = self._settings, registered.source
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            saved = str(registry.download(registered, Path(folder)))
            places = str(settings.protos), str(settings.models)
            version = adopt(Adoption(saved, self._name, source.model_dump(), *places, settings.allow_version_skew))
        logger.info("added %s version %s, which is %s", self._name, version, source.address)
        return version

    def _refused(self, started: AliasSyncState, reason: str) -> AliasSyncState:
        logger.error("%s is refused: %s; it is not tried again until %s moves", started.source.address, reason, self._address)
        return self._done(started, "refused", reason)

    def _done(self, started: AliasSyncState, outcome: SyncOutcome, reason: str = "") -> AliasSyncState:
        followed = started.model_copy(update={"outcome": outcome, "reason": reason, "when": datetime.now(UTC)})
        self._store.write(followed)
        return followed
