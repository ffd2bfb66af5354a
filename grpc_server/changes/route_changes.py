"""Route changes with the gates before them and the wait for running servers after them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TypeAlias

from foretell_contract.contract import load
from grpc_server.changes.convergence import NOT_WAITED, Convergence, Servers
from grpc_server.checks.gates import Gate
from grpc_server.errors import ChangeRefused, GenerationConflict, ModelError, ModelNotFound
from grpc_server.loading.candidate_trial import CandidateTrial
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, Attribution, RouteTable, percent
from grpc_server.store.route_table_files import RouteTableFiles

GateStage: TypeAlias = Literal["passed", "refused", "reached"]
ProgressListener: TypeAlias = Callable[[GateStage, str], None]
"""Called with a gate: this process passed or refused the version there, or it has reached the gate of a running server."""

_Edit: TypeAlias = Callable[[RouteTable, Attribution], RouteTable]

MOST_REASON = 1000
"""Characters of a reason; the rest is cut."""


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """Options of a change: author, reason, expected generation, gates and wait."""

    author: str
    reason: str = ""
    generation: int | None = None
    """Expected generation of the route table; None for any."""
    check: bool = True
    """Whether the version must pass the gates here before the change."""
    wait: bool = True


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """A durable change, and what running servers did with it."""

    generation: int
    aliases: Mapping[str, str]
    done: str
    """Such as `production of iris is version 2`."""
    convergence: Convergence


class RouteChanger:
    """Makes one change of the route table of one model. Blocking; use an object once."""

    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        servers: Servers,
        request: ChangeRequest,
        on_progress: ProgressListener = lambda _stage, _gate: None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._servers = servers
        self._request = request
        self._on_progress = on_progress
        self._repository = Repository(settings.models)
        self._route_tables = RouteTableFiles(self._repository)

    def promote(self, version: str, alias: str) -> ChangeResult:
        """Passes `version` through the gates and points `alias` at it.

        Undoes the change if a running server refuses it. Raises ModelError for either refusal.
        """
        before = self._newest_beside(version) if alias == PRODUCTION else None  # Production of servers without a route table.
        return self._introduce(
            version,
            lambda routes, author: routes.promote(version, alias, author, before),
            lambda routes, author: routes.rollback(alias, author),
            f"{alias} of {self._name} is version {version}",
        )

    def canary(self, version: str, share: float) -> ChangeResult:
        """Gives `version` a share, from 0 to 1, of the calls without a version or alias; 0 ends it. Raises as `promote`."""
        if not share:
            canary = self._route_tables.read(self._name).canary
            return self._end(version, "canary", RouteTable.without_canary, canary.version if canary else None)
        done = f"version {version} of {self._name} answers {percent(share)} of the calls"
        edit: _Edit = lambda routes, author: routes.with_canary(version, share, author)  # noqa: E731
        return self._introduce(version, edit, RouteTable.without_canary, done)

    def shadow(self, version: str, *, end: bool) -> ChangeResult:
        """Makes `version` the shadow of production, or ends that. Raises as `promote`."""
        if end:
            return self._end(version, "shadow", RouteTable.without_shadow, self._route_tables.read(self._name).shadow)
        done = f"version {version} of {self._name} is the shadow of production"
        edit: _Edit = lambda routes, author: routes.with_shadow(version, author)  # noqa: E731
        return self._introduce(version, edit, RouteTable.without_shadow, done)

    def rollback(self, alias: str) -> ChangeResult:
        """Points `alias` at its version before. Raises ModelError if there is none, or a running server refuses it."""
        routes = self._change(lambda routes, author: routes.rollback(alias, author))
        version = routes.aliases[alias]
        convergence = self._converge(routes, version)
        if convergence.outcome == "refused":
            raise _refusal(f"{convergence.text}; roll back once more, or promote another version", convergence)
        return _result(routes, f"{alias} of {self._name} is version {version} again", convergence)

    def retire(self, version: str) -> ChangeResult:
        """Removes `version` from all aliases. Raises ModelError while it is production."""
        self._newest_beside(version)
        routes = self._change(lambda routes, author: routes.retire(version, author))
        return _result(routes, f"version {version} of {self._name} is retired", self._converge(routes, None))

    def _introduce(self, version: str, edit: _Edit, undo: _Edit, done: str) -> ChangeResult:
        """Makes a change that names `version`, and undoes it if a running server refuses the version."""
        self._newest_beside(version)
        self._edited(self._route_tables.read(self._name), edit)  # Refuses an impossible change before the gates run.
        if self._request.check:
            self._pass_gates(version)
        routes = self._change(edit)
        convergence = self._converge(routes, version)
        if convergence.outcome == "refused":
            raise _refusal(f"{convergence.text}; {self._undo(routes, undo)}", convergence)
        return _result(routes, done, convergence)

    def _end(self, version: str, role: str, edit: _Edit, present: str | None) -> ChangeResult:
        if version != present:
            actual = f"version {present} is" if present else "there is none"
            raise ChangeRefused(f"version {version} of {self._name} is not the {role}: {actual}")
        routes = self._change(edit)
        done = f"version {version} of {self._name} is no longer the {role}"
        return _result(routes, done, self._converge(routes, None))

    def _change(self, edit: _Edit) -> RouteTable:
        self._repository.latest(self._name)
        return self._route_tables.change(self._name, lambda routes: self._edited(routes, edit))

    def _edited(self, routes: RouteTable, edit: _Edit) -> RouteTable:
        expected = self._request.generation
        if expected is not None and routes.generation != expected:
            raise GenerationConflict(
                f"the route table of {self._name} is at generation {routes.generation}, not {expected}: "
                f"see `foretell history {self._name}`"
            )
        return edit(routes, Attribution(self._request.author, self._request.reason[:MOST_REASON], datetime.now(UTC)))

    def _pass_gates(self, version: str) -> None:
        gates: list[Gate] = []

        def on_gate(gate: Gate) -> None:
            for before in gates[-1:]:
                self._on_progress("passed", before)
            gates.append(gate)

        try:
            CandidateTrial(self._name, version, load(self._settings.protos), self._settings, on_gate).run()
        except ModelError as error:
            for last in gates[-1:]:
                self._on_progress("refused", last)
            refusal = type(error)(f"{error} (gate {error.gate}; nothing has changed)")
            refusal.gate = error.gate
            raise refusal from None
        for last in gates[-1:]:
            self._on_progress("passed", last)

    def _converge(self, routes: RouteTable, version: str | None) -> Convergence:
        if not self._request.wait:
            return NOT_WAITED
        return self._servers.wait_for(self._name, routes.generation, version, partial(self._on_progress, "reached"))

    def _undo(self, routes: RouteTable, edit: _Edit) -> str:
        """Undoes a change unless the route table was changed since; returns the result in words."""
        author = Attribution(self._request.author, "the server refused it", datetime.now(UTC))
        try:
            self._route_tables.change(self._name, lambda _present: edit(routes, author))
        except ModelError as error:
            return f"the route table still names it ({error})"
        return "the change is undone"

    def _newest_beside(self, version: str) -> str | None:
        """The newest other version, if any. Raises ModelNotFound for an unknown `version`."""
        versions = self._repository.versions(self._name)
        if not versions:
            self._repository.latest(self._name)
        if version not in versions:
            root = self._settings.models
            raise ModelNotFound(f"no version {version} of model {self._name!r} in {root}; there are {', '.join(versions)}")
        return next((other for other in reversed(versions) if other != version), None)


def _result(routes: RouteTable, done: str, convergence: Convergence) -> ChangeResult:
    return ChangeResult(routes.generation, routes.aliases, done, convergence)


def _refusal(text: str, convergence: Convergence) -> ModelError:
    error = ModelError(text)
    error.gate = convergence.gate
    return error
