"""One model in a server: the versions of it in memory, and who of them answers, as `routes.json` says."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from foretell_lifecycle.failpoint import failpoint
from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError
from grpc_server.loading.loader import Loader
from grpc_server.loading.version import Version
from grpc_server.shadow.shadow import Shadow
from grpc_server.shadow.shadow_log import ShadowLog, folder_of
from grpc_server.store.alias_sync_state import AliasSyncStore
from grpc_server.store.gate_cache import GateCache
from grpc_server.store.repository import Repository
from grpc_server.store.route_store import RouteStore, Stamp
from grpc_server.store.route_table import PRODUCTION, Routes
from grpc_server.versions.rollout import FailedRollout, Rollout, refusal
from grpc_server.versions.routing import CanarySplit, RoutingTable, RoutingTarget

logger = logging.getLogger(__name__)

_UNSEEN: Stamp = (0, 0, 0)

_UNTIL_ANSWERED = 3600.0
"""Seconds that a version which makes room may take for its last calls; a run that hangs is ended by `worker_seconds`."""


class ServedModel:
    """Follows the record of one model. Calls read `lineup`, once; whoever changes it holds a lock that no call ever waits for."""

    def __init__(self, loader: Loader, first: Version, routes: Routes, refused: FailedRollout | None = None) -> None:
        """`first` answers until the record says otherwise, `routes` is the record by which it does."""
        self.name = loader.name
        self.services = loader.services
        self.lineup = RoutingTable.of(first, routes.generation)
        self.routes = routes
        """The record as it was last read."""
        self.trouble = ""
        """Why the record cannot be read, if it cannot."""
        self.rollout: Rollout | None = None
        self.refused = refused
        """The last one that was refused."""
        self.versions: tuple[Version, ...] = (first,)
        """All in memory that may have calls, also those that answer their last ones."""
        self.changed: Callable[[], None] = lambda: None
        """Called after each change of `versions`: before one that has come is asked, and after one that goes was asked last."""
        self._loader = loader
        repository = Repository(loader.settings.models)
        self.followed = AliasSyncStore(repository, self.name)
        """What an alias in a registry has led to."""
        self._store = RouteStore(repository)
        self._proven = GateCache(repository, self.name)
        self._stamp = _UNSEEN
        self._lock = threading.RLock()
        self._refusals = {refused.version: refused} if refused else {}
        self._warm = {first.version: first}
        """What may be asked for, by version."""
        self._unnamed: list[str] = []
        """Those of them that nothing names any more, in the order in which that came to be."""
        self._leaving: list[Version] = []
        self._shadow: Shadow | None = None
        self._closed = False

    @contextmanager
    def still(self) -> Iterator["ServedModel"]:
        """Nothing changes within the block: what it reads of this host fits together. To be left at once."""
        with self._lock:
            yield self

    def look(self) -> None:
        """Follow the record where it has changed; from one thread. Quick: loading and closing have threads of their own."""
        stamp = self._store.stamp(self.name)
        if stamp == self._stamp:
            return
        start = time.perf_counter()
        try:
            routes = self._store.read(self.name)
        except ModelError as error:  # The next look tries again: what is wrong may be no matter of the file.
            if str(error) != self.trouble:
                logger.error("%s; version %s stays", error, self.lineup.production.version.version)
            self.trouble = str(error)
            return
        self._stamp = stamp
        with self._lock:
            if routes.generation < self.routes.generation:
                self._begin_anew()
            self.routes, self.trouble = routes, ""
            self._settle(start)

    def _begin_anew(self) -> None:
        """The record has gone back: its numbers mean other changes by now, and what was refused by one may be tried again."""
        self._refusals.clear()
        self.refused = None
        if self.rollout is not None:
            self.rollout.stop()

    def close(self, seconds: float) -> None:
        """Answer what is queued, end threads and workers; each is waited for at most `seconds`."""
        with self._lock:
            self._closed = True
            if self.rollout is not None:
                self.rollout.stop()
            shadow = self._shadow
            if shadow is not None:
                self._end_shadow(shadow)
        for version in self.versions:
            version.close(seconds, for_streams=False)
        if shadow is not None:
            shadow.wait(seconds)

    def _settle(self, start: float) -> None:
        """Let those answer whom the record names, as far as they are in memory, and see to the others.

        `start` is when the reason for it was seen, on the clock of `time.perf_counter`.
        """
        if self._closed:
            return
        missing = [version for version in self.routes.named if version not in self._warm and not self._was_refused(version)]
        wanted = [(version, False) for version in missing]
        if self._shadow is not None and self._shadow.version.version != self.routes.shadow:
            self._end_shadow(self._shadow)
        if self._shadow is None and self.routes.shadow is not None and not self._was_refused(self.routes.shadow):
            wanted.append((self.routes.shadow, True))
        if self.rollout is not None and (self.rollout.version, self.rollout.apart) not in wanted:
            self.rollout.stop()
        if wanted and self.rollout is None:
            self._start(*wanted[0])
        self._note()
        for version in self._flip(missing, start):
            self._leave(version)
        self.changed()

    def _note(self) -> None:
        self.versions = (*self._warm.values(), *self._leaving)
        self.changed()

    def _end_shadow(self, shadow: Shadow) -> None:
        self._shadow = None
        shadow.close()
        self._leave(shadow.version)

    def _was_refused(self, version: str) -> bool:
        refused = self._refusals.get(version)
        return refused is not None and refused.generation >= self.routes.asked_for(version)

    def _flip(self, missing: list[str], start: float) -> list[Version]:
        """Put the next lineup in place; the versions that are not in it any more."""
        before = self.lineup
        aliases = {PRODUCTION: before.production} | {
            alias: RoutingTarget(self._warm[version], self.routes.generation) if version in self._warm else before.aliases[alias]
            for alias, version in self.routes.aliases.items()
            if version in self._warm or alias in before.aliases  # What cannot answer yet leaves its place to the one before.
        }
        surplus = self._surplus({member.version.version for member in aliases.values()} | set(self.routes.named))
        versions = {version: RoutingTarget(loaded, self.routes.generation) for version, loaded in self._warm.items()}
        unborn = [alias for alias, version in self.routes.aliases.items() if version in missing and alias not in aliases]
        after = aliases[PRODUCTION]
        lineup = RoutingTable(after, aliases, versions, frozenset((*missing, *unborn)), self._draw(), self._shadow)
        if after.version is before.production.version:
            self.lineup = lineup
            return surplus
        failpoint("before-flip")
        self.lineup = lineup
        failpoint("after-flip")
        took = (time.perf_counter() - start) * 1000
        logger.info(
            "%s: version %s answers from now on (generation %d, after %.2f ms)",
            self.name,
            after.version.version,
            after.generation,
            took,
        )
        return surplus

    def _draw(self) -> CanarySplit | None:
        canary = self.routes.canary
        if canary is None or canary.version not in self._warm:
            return None
        return CanarySplit(RoutingTarget(self._warm[canary.version], self.routes.generation), canary.share)

    def _surplus(self, named: set[str]) -> list[Version]:
        """Take out of `_warm`, and return, what is neither named nor among the last that were."""
        new = [version for version in self._warm if version not in named and version not in self._unnamed]
        self._unnamed = [version for version in self._unnamed if version not in named] + new
        retired = [version for version in self._unnamed if version in self.routes.retired]
        kept = [version for version in self._unnamed if version not in retired]
        surplus = retired + kept[: max(0, len(kept) - self._loader.settings.keep_warm)]
        self._unnamed = [version for version in self._unnamed if version not in surplus]
        return [self._warm.pop(version) for version in surplus]

    def _start(self, version: str, apart: bool) -> None:
        rollout = Rollout(version, self.routes.generation, apart)
        threading.Thread(target=self._load, args=(rollout,), name=f"loading {self.name}", daemon=True).start()
        self.rollout = rollout

    def _load(self, rollout: Rollout) -> None:
        """Bring a version through the gates, first in a process of its own, then here."""
        loaded, error = None, None
        try:
            loaded = self._through_the_gates(rollout)
        except ModelError as caught:
            error = caught
        except Exception as caught:  # Else the model would seem to be loading for ever.
            logger.exception("%s: version %s cannot be tried", self.name, rollout.version)
            error = ModelError(f"{type(caught).__name__} while it was tried; the server's log has the trace")
            error.gate = rollout.gate or Gate.DIGEST
        with self._lock:
            start = time.perf_counter()
            self.rollout = None
            if loaded is not None:
                self._take(rollout, loaded)
            elif error is not None and not rollout.stopped:
                self._refuse(rollout, error)
            self._settle(start)

    def _take(self, rollout: Rollout, loaded: Version) -> None:
        """Have what was loaded, if it is still asked for."""
        if rollout.apart and rollout.version == self.routes.shadow and not self._closed:
            self._shadow = self._shadow_of(loaded)
        elif not rollout.apart and rollout.version in self.routes.named and not self._closed:
            self._warm[rollout.version] = loaded
        else:
            self._leave(loaded)

    def _shadow_of(self, version: Version) -> Shadow:
        settings = self._loader.settings
        log = ShadowLog(folder_of(settings, self.name), version.version, settings.shadow_mb * 2**20)
        return Shadow(version, log, features=settings.shadow_features)

    def _leave(self, version: Version) -> None:
        self._leaving.append(version)
        threading.Thread(target=self._close, args=(version,), name=f"closing {self.name}", daemon=True).start()

    def _through_the_gates(self, rollout: Rollout) -> Version:
        def tell(gate: Gate) -> None:
            rollout.gate = gate

        gates = Gates(f"model {self.name!r} version {rollout.version}", tell)
        returns = self.routes.is_return(rollout.version)
        trial = rollout.trial = self._loader.trial(rollout.version, tell, returns=returns)
        if rollout.stopped:
            trial.stop()
        costs = trial.run()
        failpoint("tried")
        loaded = self._loader.load(rollout.version, gates, costs, apart=rollout.apart)
        failpoint("loaded")
        self._proven.note(rollout.version)
        return loaded

    def _refuse(self, rollout: Rollout, error: ModelError) -> None:
        refused = refusal(rollout.version, rollout.generation, error)
        self._refusals[rollout.version] = self.refused = refused
        stays = self.lineup.production.version.version
        logger.error(
            "%s: version %s is refused at the gate %s: %s; version %s stays",
            self.name,
            refused.version,
            refused.gate,
            refused.reason,
            stays,
        )

    def _close(self, version: Version) -> None:
        failpoint("before-close")
        version.close(_UNTIL_ANSWERED, for_streams=True)
        with self._lock:
            self._leaving.remove(version)
            self._note()
