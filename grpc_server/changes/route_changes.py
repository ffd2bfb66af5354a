"""Route changes with the gates before them and the wait for running servers after them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, TypeAlias

from foretell_contract.contract import load
from foretell_contract.source.compiler import has_contracts
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

_GO_ON = "serve a contract that it fits, roll back once more, or promote another version"

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
        answering = self._answering(alias)
        edit: _Edit = lambda routes, author: routes.promote(version, alias, author, answering)  # noqa: E731
        return self._introduce(version, edit, f"{alias} of {self._name} is version {version}")

    def canary(self, version: str, share: float) -> ChangeResult:
        """Gives `version` a share, from 0 to 1, of the calls without a version or alias; 0 ends it. Raises as `promote`."""
        if not share:
            canary = self._route_tables.read(self._name).canary
            return self._end(version, "canary", RouteTable.without_canary, canary.version if canary else None)
        done = f"version {version} of {self._name} answers {percent(share)} of the calls"
        edit: _Edit = lambda routes, author: routes.with_canary(version, share, author)  # noqa: E731
        return self._introduce(version, edit, done)

    def shadow(self, version: str, *, end: bool) -> ChangeResult:
        """Makes `version` the shadow of production, or ends that. Raises as `promote`."""
        if end:
            return self._end(version, "shadow", RouteTable.without_shadow, self._route_tables.read(self._name).shadow)
        done = f"version {version} of {self._name} is the shadow of production"
        edit: _Edit = lambda routes, author: routes.with_shadow(version, author)  # noqa: E731
        return self._introduce(version, edit, done)

    def rollback(self, alias: str) -> ChangeResult:
        """Points `alias` at its version before, at once: running servers try it, and without one the gates here.

        Undoes the change if every running server refuses the version. Raises ModelError for either refusal, and if there is none.
        """
        edit: _Edit = lambda routes, author: routes.rollback(alias, author)  # noqa: E731
        version = self._edited(self._read(), edit).aliases[alias]
        done = f"{alias} of {self._name} is version {version} again"
        if self._request.check and not self._running and not self._pass_gates(version, returns=True):
            done += f" (not tried: there is no contract in {self._settings.protos}; pass --protos)"
        routes = self._change(edit)
        convergence = self._converge(routes, version)
        if convergence.outcome == "refused":
            outcome = f"{' and '.join(convergence.servers)} did not" if convergence.servers else self._undo(routes)
            raise _refusal(f"{convergence.text}; {outcome}: {_GO_ON}", convergence)
        return _result(routes, done, convergence)

    def retire(self, version: str) -> ChangeResult:
        """Removes `version` from all aliases. Raises ModelError while it is production."""
        self._check_exists(version)
        self._read()
        routes = self._change(lambda routes, author: routes.retire(version, author))
        return _result(routes, f"version {version} of {self._name} is retired", self._converge(routes, None))

    def _introduce(self, version: str, edit: _Edit, done: str) -> ChangeResult:
        """Makes a change that names `version`, and undoes it if a running server refuses the version."""
        self._check_exists(version)
        self._edited(self._read(), edit)  # Refuses an impossible change before the gates run.
        if self._request.check:
            self._pass_gates(version)
        routes = self._change(edit)
        convergence = self._converge(routes, version)
        if convergence.outcome == "refused":
            raise _refusal(f"{convergence.text}; {self._undo(routes)}", convergence)
        return _result(routes, done, convergence)

    def _end(self, version: str, role: str, edit: _Edit, present: str | None) -> ChangeResult:
        if version != present:
            actual = f"version {present} is" if present else "there is none"
            raise ChangeRefused(f"version {version} of {self._name} is not the {role}: {actual}")
        routes = self._change(edit)
        done = f"version {version} of {self._name} is no longer the {role}"
        return _result(routes, done, self._converge(routes, None))

    def _read(self) -> RouteTable:
        """The route table. If it has no production, the version that answers is put on record first."""
        self._repository.latest(self._name)
        routes = self._route_tables.read(self._name)
        answering = None if PRODUCTION in routes.aliases else self._answering(PRODUCTION)
        return self._route_tables.ensure_production(self._name, answering, "it answers already") if answering else routes

    def _change(self, edit: _Edit) -> RouteTable:
        def edited(routes: RouteTable) -> RouteTable:
            self._earlier = routes
            return self._edited(routes, edit)

        return self._route_tables.change(self._name, edited)

    def _edited(self, routes: RouteTable, edit: _Edit) -> RouteTable:
        expected = self._request.generation
        if expected is not None and routes.generation != expected:
            raise GenerationConflict(
                f"the route table of {self._name} is at generation {routes.generation}, not {expected}: "
                f"see `foretell history {self._name}`"
            )
        return edit(routes, Attribution.now(self._request.reason[:MOST_REASON], self._request.author))

    def _answering(self, alias: str) -> str | None:
        """The version that answers for an alias: on the running servers if they agree, else the one that answered last."""
        answering = {
            model.version
            for server in self._running
            for model in server.models
            if model.name == self._name and alias in model.aliases
        }
        return answering.pop() if len(answering) == 1 else self._route_tables.answered(self._name).get(alias)

    @cached_property
    def _running(self) -> list[Any]:
        return self._servers.list_all()

    def _pass_gates(self, version: str, *, returns: bool = False) -> bool:
        """Passes a version through the gates here. False without contracts here, if the servers' gates can decide instead."""
        if not has_contracts(self._settings.protos) and (returns or self._running):
            return False
        gates: list[Gate] = []

        def on_gate(gate: Gate) -> None:
            for before in gates[-1:]:
                self._on_progress("passed", before)
            gates.append(gate)

        try:
            contract = load(self._settings.protos)
            CandidateTrial(self._name, version, contract, self._settings, on_gate, returns=returns).run()
        except ModelError as error:
            for last in gates[-1:]:
                self._on_progress("refused", last)
            fix = f": {_GO_ON}" if returns else ""
            refusal = type(error)(f"{error}{fix} (gate {error.gate}; nothing has changed)")
            refusal.gate = error.gate
            raise refusal from None
        for last in gates[-1:]:
            self._on_progress("passed", last)
        return True

    def _converge(self, routes: RouteTable, version: str | None) -> Convergence:
        if not self._request.wait:
            return NOT_WAITED
        return self._servers.wait_for(self._name, routes.generation, version, partial(self._on_progress, "reached"))

    def _undo(self, routes: RouteTable) -> str:
        """Undoes a change unless the route table was changed since; returns the result in words."""
        author = Attribution.now("the server refused it", self._request.author)
        try:
            self._route_tables.change(self._name, lambda _present: routes.undo(self._earlier, author))
        except ModelError as error:
            return f"the route table still names it ({error})"
        return "the change is undone"

    def _check_exists(self, version: str) -> None:
        versions = self._repository.versions(self._name)
        if not versions:
            self._repository.latest(self._name)
        if version not in versions:
            root = self._settings.models
            raise ModelNotFound(f"no version {version} of model {self._name!r} in {root}; there are {', '.join(versions)}")


def _result(routes: RouteTable, done: str, convergence: Convergence) -> ChangeResult:
    return ChangeResult(routes.generation, routes.aliases, done, convergence)


def _refusal(text: str, convergence: Convergence) -> ModelError:
    error = ModelError(text)
    error.gate = convergence.gate
    return error
