"""One model in a server: its versions in memory, and the routing between them that its route table asks for."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from foretell_lifecycle.failpoint import failpoint
from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ChangeRefused, ModelError, Unwritable
from grpc_server.loading.loader import Loader
from grpc_server.loading.version import Version
from grpc_server.shadow.shadow import Shadow
from grpc_server.shadow.shadow_log import ShadowLog, shadow_log_folder
from grpc_server.store.alias_sync_state import AliasSyncFile
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, Attribution, RouteTable
from grpc_server.store.route_table_files import RouteTableFiles, Stamp
from grpc_server.versions.rollout import FailedRollout, Rollout
from grpc_server.versions.routing import CanarySplit, Routing, RoutingTarget

logger = logging.getLogger(__name__)

_NEVER_READ: Stamp = (0, 0, 0)

_DRAIN_SECONDS = 3600.0
"""Longest time for the last calls of a version that is unloaded; `worker_seconds` ends a run that hangs."""


class ServedModel:
    """Applies the route table of one model. Thread-safe: a call reads `routing` once, without the lock that guards changes."""

    def __init__(self, loader: Loader, first: Version, routes: RouteTable, refused: Sequence[FailedRollout] = ()) -> None:
        """`first` is production at the start, `routes` the route table that was read for it, `refused` what it names in vain."""
        self.name = loader.name
        self.services = loader.services
        self.routing = Routing.single(first, routes.generation)
        self.routes = routes
        self.read_error = ""
        """Why the route table cannot be read; empty if it can."""
        self.rollout: Rollout | None = None
        self.last_refusal = refused[0] if refused else None
        self.versions: tuple[Version, ...] = (first,)
        """All versions in memory, with those that still drain."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after each change of `versions`, from any thread: before a new one gets calls, after an old one got its last."""
        self.lock = threading.RLock()
        """While a thread holds it, the attributes above fit together. Keep it short."""
        self._loader = loader
        self._repository = Repository(loader.settings.models)
        self.alias_sync = AliasSyncFile(self._repository, self.name)
        self._route_tables = RouteTableFiles(self._repository)
        self._stamp = _NEVER_READ
        self._noted: Mapping[str, RoutingTarget] | None = None
        self._failed = {each.version: each for each in refused}
        self._warm = {first.version: first} if first.version else {}
        """Versions that calls can select, by number."""
        self._unnamed: list[str] = []
        """Warm versions that no alias names, oldest first."""
        self._draining: list[Version] = []
        self._shadow: Shadow | None = None
        self._closed = False

    @property
    def serves(self) -> bool:
        """Whether a version answers for production."""
        return bool(self.routing.production.version.version)

    @property
    def _state(self) -> str:
        return f"version {self.routing.production.version.version} answers on" if self.serves else "no version answers"

    def refresh(self) -> None:
        """Applies the route table if its file changed; from one thread. Loading and closing run in threads of their own.

        Gives a model without production on record the version that answers, and notes what answers for each alias.
        """
        self._note_answering()
        stamp = self._route_tables.stamp(self.name)
        if stamp == self._stamp:
            return
        start = time.perf_counter()
        try:
            routes = self._recorded(self._route_tables.read(self.name))
        except ModelError as error:  # May pass, such as too many open files: the next refresh tries again.
            if str(error) != self.read_error:
                logger.error("%s; %s", error, self._state)
            self.read_error = str(error)
            return
        self._stamp = stamp
        with self.lock:
            if routes.generation < self.routes.generation:
                self._forget_refusals()
            self.routes, self.read_error = routes, ""
            self._reconcile(start)

    def _note_answering(self) -> None:
        aliases = self.routing.aliases
        if aliases is not self._noted and self.serves:
            self._noted = aliases
            self._route_tables.note_answered(self.name, {alias: target.version.version for alias, target in aliases.items()})

    def _recorded(self, routes: RouteTable) -> RouteTable:
        """The route table with a production version, which is on record from now on unless the repository is read-only."""
        if PRODUCTION in routes.aliases or not self.serves:
            return routes
        try:
            return self._route_tables.ensure_production(self.name, self.routing.production.version.version, "it answers already")
        except (Unwritable, ChangeRefused):  # Read-only, or gone: what answers counts until the end.
            return routes

    def record_fallback(self) -> None:
        """Puts the version that answers on record, if a gate refused production at the start; not in a read-only repository."""
        refused = self.last_refusal
        if refused is None or not self.serves:
            return
        version, why = self.routing.production.version.version, f"version {refused.version} is refused at the gate {refused.gate}"

        def edit(routes: RouteTable) -> RouteTable:
            names_refused = routes.aliases.get(PRODUCTION) == refused.version
            return routes.fall_back(PRODUCTION, version, Attribution.now(why)) if names_refused else routes

        with suppress(ModelError):
            self._route_tables.change(self.name, edit)

    def _forget_refusals(self) -> None:
        """After the file was restored from a copy: its generations mean other changes now, so refused versions are tried again."""
        self._failed.clear()
        self.last_refusal = None
        if self.rollout is not None:
            self.rollout.stop()

    def close(self, seconds: float) -> None:
        """Answers queued rows and ends threads and workers, waiting up to `seconds` for each."""
        self._note_answering()
        with self.lock:
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

    def _reconcile(self, start: float) -> None:
        """Routes calls to the versions that the route table names and that are loaded, and starts a rollout for one that is not.

        `start` is a `time.perf_counter` reading of when the change was noticed, for the log.
        """
        if self._closed:
            return
        missing = [
            version for version in self.routes.serving_versions if version not in self._warm and not self._was_refused(version)
        ]
        wanted = [(version, False) for version in missing]
        if self._shadow is not None and self._shadow.version.version != self.routes.shadow:
            self._end_shadow(self._shadow)
        if self._shadow is None and self.routes.shadow is not None and not self._was_refused(self.routes.shadow):
            wanted.append((self.routes.shadow, True))
        if self.rollout is not None and (self.rollout.version, self.rollout.as_shadow) not in wanted:
            self.rollout.stop()
        if wanted and self.rollout is None:
            self._start_rollout(*wanted[0])
        self._publish_versions()
        for version in self._swap_routing(missing, start):
            self._drain(version)
        self.on_change()

    def _publish_versions(self) -> None:
        self.versions = (*self._warm.values(), *self._draining)
        self.on_change()

    def _end_shadow(self, shadow: Shadow) -> None:
        self._shadow = None
        shadow.close()
        self._drain(shadow.version)

    def _was_refused(self, version: str) -> bool:
        refused = self._failed.get(version)
        return refused is not None and refused.generation >= self.routes.last_named_in(version)

    def _swap_routing(self, missing: list[str], start: float) -> list[Version]:
        """Replaces the routing; returns the versions that it no longer contains."""
        before = self.routing
        aliases = {PRODUCTION: before.production} | {
            alias: RoutingTarget(self._warm[version], self.routes.generation) if version in self._warm else before.aliases[alias]
            for alias, version in self.routes.aliases.items()
            if version in self._warm or alias in before.aliases  # Until its new version is loaded, an alias keeps the old one.
        }
        surplus = self._surplus({target.version.version for target in aliases.values()} | set(self.routes.serving_versions))
        versions = {version: RoutingTarget(loaded, self.routes.generation) for version, loaded in self._warm.items()}
        pending_aliases = [alias for alias, version in self.routes.aliases.items() if version in missing and alias not in aliases]
        after = aliases[PRODUCTION]
        routing = Routing(after, aliases, versions, frozenset((*missing, *pending_aliases)), self._canary_split(), self._shadow)
        if after.version is before.production.version:
            self.routing = routing
            return surplus
        failpoint("before-flip")
        self.routing = routing
        failpoint("after-flip")
        facts = self.name, after.version.version, after.generation, (time.perf_counter() - start) * 1000
        logger.info("%s: version %s answers from now on (generation %d, after %.2f ms)", *facts)
        return surplus

    def _canary_split(self) -> CanarySplit | None:
        canary = self.routes.canary
        if canary is None or canary.version not in self._warm:
            return None
        return CanarySplit(RoutingTarget(self._warm[canary.version], self.routes.generation), canary.share)

    def _surplus(self, named: set[str]) -> list[Version]:
        """Removes from `_warm`, and returns, retired versions and unnamed ones beyond the `keep_warm` newest."""
        new = [version for version in self._warm if version not in named and version not in self._unnamed]
        self._unnamed = [version for version in self._unnamed if version not in named] + new
        retired = [version for version in self._unnamed if version in self.routes.retired]
        warm = [version for version in self._unnamed if version not in retired]
        surplus = retired + warm[: max(0, len(warm) - self._loader.settings.keep_warm)]
        self._unnamed = [version for version in self._unnamed if version not in surplus]
        return [self._warm.pop(version) for version in surplus]

    def _start_rollout(self, version: str, as_shadow: bool) -> None:
        rollout = Rollout(version, self.routes.generation, as_shadow)
        threading.Thread(target=self._run_rollout, args=(rollout,), name=f"loading {self.name}", daemon=True).start()
        self.rollout = rollout

    def _run_rollout(self, rollout: Rollout) -> None:
        """Passes a version through the gates, first in a process of its own, then in this one."""
        loaded, error = None, None
        try:
            loaded = self._pass_gates(rollout)
        except ModelError as caught:
            error = caught
        except Exception as caught:  # Any error must end the rollout.
            logger.exception("%s: the rollout of version %s failed", self.name, rollout.version)
            error = ModelError(f"{type(caught).__name__} in the rollout; the server's log has the trace")
            error.gate = rollout.gate or Gate.DIGEST
        with self.lock:
            start = time.perf_counter()
            self.rollout = None
            if loaded is not None:
                self._accept(rollout, loaded)
            elif error is not None and not rollout.stopped:
                self._record_refusal(rollout, error)
            self._reconcile(start)

    def _accept(self, rollout: Rollout, loaded: Version) -> None:
        """Keeps a loaded version if the route table still names it."""
        if rollout.as_shadow and rollout.version == self.routes.shadow and not self._closed:
            settings = self._loader.settings
            log = ShadowLog(shadow_log_folder(settings, self.name), loaded.version, settings.shadow_mb * 2**20)
            self._shadow = Shadow(loaded, log, features=settings.shadow_features)
        elif not rollout.as_shadow and rollout.version in self.routes.serving_versions and not self._closed:
            self._warm[rollout.version] = loaded
        else:
            self._drain(loaded)

    def _drain(self, version: Version) -> None:
        self._draining.append(version)
        threading.Thread(target=self._close, args=(version,), name=f"closing {self.name}", daemon=True).start()

    def _pass_gates(self, rollout: Rollout) -> Version:
        def on_gate(gate: Gate) -> None:
            rollout.gate = gate

        gates = Gates(f"model {self.name!r} version {rollout.version}", on_gate)
        returns = self.routes.was_rolled_back_to(rollout.version)
        trial = rollout.trial = self._loader.trial(rollout.version, on_gate, returns=returns)
        if rollout.stopped:
            trial.stop()
        costs = trial.run()
        failpoint("tried")
        loaded = self._loader.load(rollout.version, gates, costs, as_shadow=rollout.as_shadow)
        failpoint("loaded")
        self._repository.remember_passed(self.name, rollout.version, self._loader.revision)
        return loaded

    def _record_refusal(self, rollout: Rollout, error: ModelError) -> None:
        refused = FailedRollout.of(rollout.version, rollout.generation, error)
        self._failed[rollout.version] = self.last_refusal = refused
        facts = self.name, refused.version, refused.gate, refused.reason, self._state
        logger.error("%s: version %s is refused at the gate %s: %s; %s", *facts)

    def _close(self, version: Version) -> None:
        failpoint("before-close")
        version.close(_DRAIN_SECONDS, for_streams=True)
        with self.lock:
            self._draining.remove(version)
            self._publish_versions()
