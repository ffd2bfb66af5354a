"""Changes of what answers, as commands and the control service make them: the gates, the record, the servers' verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from foretell_contract.contract import load
from grpc_server.changes.convergence import NOT_WAITED, Convergence, Servers
from grpc_server.checks.gates import Gate
from grpc_server.errors import ChangeRefused, GenerationConflict, ModelError, ModelNotFound
from grpc_server.loading.candidate_trial import CandidateTrial
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, Attribution, RouteTable, check_alias, percent
from grpc_server.store.route_table_files import RouteTableFiles

_Edit: TypeAlias = Callable[[RouteTable, Attribution], RouteTable]

MOST_WHY = 1000
"""Letters of a reason."""


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """What one who changes something says beside what."""

    who: str
    why: str = ""
    generation: int | None = None
    """The generation of the record that is to be changed; None for any."""
    check: bool = True
    """Whether the version is to pass the gates before anything changes."""
    wait: bool = True
    """Whether to wait for the verdict of the servers."""


@dataclass(frozen=True, slots=True)
class RouteChange:
    """A change that is on record."""

    generation: int
    """The generation that it made."""
    aliases: Mapping[str, str]
    done: str
    """In words, such as `production of iris is version 2`."""
    verdict: Convergence


class Progress:
    """Hears how a change gets on."""

    def passed(self, gate: str) -> None:
        """The version is through a gate, here."""

    def refused(self, gate: str) -> None:
        """The version is not through a gate, here."""

    def at(self, gate: str) -> None:
        """The version is at a gate of a server."""


class RouteChanger:
    """Changes the record of one model. Use it once."""

    def __init__(
        self, name: str, settings: ServerSettings, servers: Servers, wish: ChangeRequest, progress: Progress | None = None
    ) -> None:
        self._name = name
        self._settings = settings
        self._servers = servers
        self._wish = wish
        self._progress = progress or Progress()
        self._repository = Repository(settings.models)
        self._store = RouteTableFiles(self._repository)

    def promote(self, version: str, alias: str) -> RouteChange:
        """Pass `version` through the gates and put `alias` on it.

        Where a running server refuses it nevertheless, the change is undone. Raises ModelError for either refusal.
        """
        check_alias(alias)
        newest = self._newest_beside(version)
        before = newest if alias == PRODUCTION else None  # What servers serve as long as there is no record.
        return self._introduce(
            version,
            lambda routes, author: routes.promote(version, alias, author, before),
            lambda routes, author: routes.rollback(alias, author),
            f"{alias} of {self._name} is version {version}",
        )

    def canary(self, version: str, share: float) -> RouteChange:
        """Let `version` answer a share of the calls that choose nothing, or none with 0. Raises ModelError as `promote`."""
        if not share:
            canary = self._store.read(self._name).canary
            return self._end(version, "canary", RouteTable.without_canary, canary.version if canary else None)
        done = f"version {version} of {self._name} answers {percent(share)} of the calls"
        edit: _Edit = lambda routes, author: routes.with_canary(version, share, author)  # noqa: E731
        return self._introduce(version, edit, RouteTable.without_canary, done)

    def shadow(self, version: str, *, end: bool) -> RouteChange:
        """Have `version` asked what production was asked, or `end` that. Raises ModelError as `promote`."""
        if end:
            return self._end(version, "shadow", RouteTable.without_shadow, self._store.read(self._name).shadow)
        done = f"version {version} of {self._name} is asked what production is asked"
        edit: _Edit = lambda routes, author: routes.with_shadow(version, author)  # noqa: E731
        return self._introduce(version, edit, RouteTable.without_shadow, done)

    def rollback(self, alias: str) -> RouteChange:
        """Put `alias` back. Raises ModelError where there is nothing before, or a server refuses it."""
        routes = self._change(lambda routes, author: routes.rollback(alias, author))
        version = routes.aliases[alias]
        verdict = self._verdict(routes, version)
        if verdict.outcome == "refused":
            raise _refused(f"{verdict.text}; roll back once more, or promote another version", verdict)
        return _changed(routes, f"{alias} of {self._name} is version {version} again", verdict)

    def retire(self, version: str) -> RouteChange:
        """Take every name from `version`. Raises ModelError while it is production."""
        self._newest_beside(version)
        routes = self._change(lambda routes, author: routes.retire(version, author))
        return _changed(routes, f"version {version} of {self._name} is retired", self._verdict(routes, None))

    def _introduce(self, version: str, edit: _Edit, undo: _Edit, done: str) -> RouteChange:
        """Let the record name `version`, and take that back where a server refuses it."""
        self._newest_beside(version)
        self._edited(self._store.read(self._name), edit)  # What the record cannot say is not worth the gates.
        if self._wish.check:
            self._try(version)
        routes = self._change(edit)
        verdict = self._verdict(routes, version)
        if verdict.outcome == "refused":
            raise _refused(f"{verdict.text}; {self._undo(routes, undo)}", verdict)
        return _changed(routes, done, verdict)

    def _end(self, version: str, what: str, edit: _Edit, named: str | None) -> RouteChange:
        if version != named:
            raise ChangeRefused(f"version {version} of {self._name} is no {what}")
        routes = self._change(edit)
        done = f"version {version} of {self._name} is a {what} no more"
        return _changed(routes, done, self._verdict(routes, None))

    def _change(self, edit: _Edit) -> RouteTable:
        self._repository.latest(self._name)
        return self._store.change(self._name, lambda routes: self._edited(routes, edit))

    def _edited(self, routes: RouteTable, edit: _Edit) -> RouteTable:
        wanted = self._wish.generation
        if wanted is not None and routes.generation != wanted:
            raise GenerationConflict(
                f"the record of {self._name} is at generation {routes.generation}, not {wanted}: look what has changed"
            )
        return edit(routes, Attribution(self._wish.who, self._wish.why[:MOST_WHY], datetime.now(UTC)))

    def _try(self, version: str) -> None:
        """Raises ModelError where `version` does not get through the gates."""
        gates: list[Gate] = []

        def tell(gate: Gate) -> None:
            for before in gates[-1:]:
                self._progress.passed(before)
            gates.append(gate)

        try:
            CandidateTrial(self._name, version, load(self._settings.protos), self._settings, tell).run()
        except ModelError as error:
            for last in gates[-1:]:
                self._progress.refused(last)
            refusal = type(error)(f"{error} (gate {error.gate}; nothing has changed)")
            refusal.gate = error.gate
            raise refusal from None
        for last in gates[-1:]:
            self._progress.passed(last)

    def _verdict(self, routes: RouteTable, version: str | None) -> Convergence:
        if not self._wish.wait:
            return NOT_WAITED
        return self._servers.verdict(self._name, routes.generation, version, self._progress.at)

    def _undo(self, routes: RouteTable, edit: _Edit) -> str:
        """Take a change back where nobody has changed the record since; what became of it, in words."""
        author = Attribution(self._wish.who, "the server refused it", datetime.now(UTC))
        try:
            self._store.replace(self._name, edit(routes, author))
        except ModelError as error:
            return f"the record still names it ({error})"
        return "the change is undone"

    def _newest_beside(self, version: str) -> str | None:
        """The newest of the other versions, if any. Raises ModelNotFound where `version` is not there."""
        versions = self._repository.versions(self._name)
        if not versions:
            self._repository.latest(self._name)
        if version not in versions:
            root = self._settings.models
            raise ModelNotFound(f"no version {version} of model {self._name!r} in {root}; there are {', '.join(versions)}")
        return next((other for other in reversed(versions) if other != version), None)


def _changed(routes: RouteTable, done: str, verdict: Convergence) -> RouteChange:
    return RouteChange(routes.generation, routes.aliases, done, verdict)


def _refused(text: str, verdict: Convergence) -> ModelError:
    error = ModelError(text)
    error.gate = verdict.gate
    return error
