"""`foretell promote`, `rollback` and `retire`: changes of a record, and what a running server makes of them."""

import json
import os
import pwd
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

import typer

from contract.errors import SetupError
from foretell.listing import percent
from foretell.verdict import Verdict, verdict
from grpc_server.errors import ChangeRefused, ModelError, ModelNotFound
from grpc_server.gates import Gate
from grpc_server.repository import Repository
from grpc_server.route_store import RouteStore
from grpc_server.routes import PRODUCTION, Author, Routes, check_alias
from grpc_server.settings import ServerSettings
from grpc_server.trial import Trial

_Edit: TypeAlias = Callable[[Routes, Author], Routes]

_NOT_WAITED = Verdict("not waited for", "")


class Changer:
    """Changes the record of one model and reports."""

    def __init__(self, name: str, settings: ServerSettings, why: str, *, wait: bool, as_json: bool) -> None:
        """`why` is for the history; with `wait`, what a running server makes of a change is waited for and reported."""
        self._name = name
        self._settings = settings
        self._why = why
        self._wait = wait
        self._as_json = as_json
        self._store = RouteStore(Repository(settings.models))

    def promote(self, version: str, alias: str, *, check: bool) -> None:
        """Pass `version` through the gates, unless not to `check`, and put `alias` on it.

        Where a running server refuses it nevertheless, the change is undone. Raises SetupError for either refusal.
        """
        check_alias(alias)
        newest = _newest_beside(version, self._name, self._settings)
        before = newest if alias == PRODUCTION else None  # What servers serve as long as there is no record.
        self._introduce(
            version,
            lambda routes, author: routes.promote(version, alias, author, before),
            lambda routes, author: routes.rollback(alias, author),
            f"{alias} of {self._name} is version {version}",
            check=check,
        )

    def canary(self, version: str, share: float, *, check: bool) -> None:
        """Let `version` answer a share of the calls that choose nothing, or none with 0. Raises SetupError as `promote`."""
        if not share:
            named = {self._store.read(self._name).canary}
            self._end(version, "canary", Routes.without_canary, {canary.version for canary in named if canary})
            return
        done = f"version {version} of {self._name} answers {percent(share)} of the calls"
        edit: _Edit = lambda routes, author: routes.with_canary(version, share, author)  # noqa: E731
        self._introduce(version, edit, Routes.without_canary, done, check=check)

    def shadow(self, version: str, *, end: bool, check: bool) -> None:
        """Have `version` asked what production was asked, or `end` that. Raises SetupError as `promote`."""
        if end:
            self._end(version, "shadow", Routes.without_shadow, {self._store.read(self._name).shadow})
            return
        done = f"version {version} of {self._name} is asked what production is asked"
        edit: _Edit = lambda routes, author: routes.with_shadow(version, author)  # noqa: E731
        self._introduce(version, edit, Routes.without_shadow, done, check=check)

    def rollback(self, alias: str) -> None:
        """Put `alias` back. Raises SetupError where there is nothing before, or the server refuses it."""
        routes = self._change(lambda routes, author: routes.rollback(alias, author))
        version = routes.aliases[alias]
        outcome = self._verdict(routes, version)
        if outcome.outcome == "refused":
            raise SetupError(f"{outcome.text}; roll back once more, or promote another version")
        self._report(routes, f"{alias} of {self._name} is version {version} again", outcome)

    def retire(self, version: str) -> None:
        """Take every name from `version`. Raises SetupError while it is production."""
        Repository(self._settings.models).manifest(self._name, version)
        routes = self._change(lambda routes, author: routes.retire(version, author))
        self._report(routes, f"version {version} of {self._name} is retired", self._verdict(routes, None))

    def _introduce(self, version: str, edit: _Edit, undo: _Edit, done: str, *, check: bool) -> None:
        """Let the record name `version`, and take that back where the server refuses it."""
        _newest_beside(version, self._name, self._settings)
        if check:
            self._try(version)
        routes = self._change(edit)
        outcome = self._verdict(routes, version)
        if outcome.outcome == "refused":
            raise SetupError(f"{outcome.text}; {self._undo(routes, undo)}")
        self._report(routes, done, outcome)

    def _end(self, version: str, what: str, edit: _Edit, named: set[str | None]) -> None:
        if version not in named:
            raise ChangeRefused(f"version {version} of {self._name} is no {what}")
        routes = self._change(edit)
        self._report(routes, f"version {version} of {self._name} is a {what} no more", self._verdict(routes, None))

    def _change(self, edit: _Edit) -> Routes:
        author = Author(_user(), self._why, datetime.now(UTC))
        return self._store.change(self._name, lambda routes: edit(routes, author))

    def _try(self, version: str) -> None:
        """Raises ModelError where `version` does not get through the gates."""
        progress = _Progress(quiet=self._as_json)
        try:
            Trial(self._name, version, self._settings, progress.at).run()
        except ModelError as error:
            progress.end("refused")
            raise ModelError(f"{error} (gate {error.gate}; nothing has changed)") from None
        progress.end("passed")

    def _verdict(self, routes: Routes, version: str | None) -> Verdict:
        if not self._wait:
            return _NOT_WAITED
        return verdict(self._settings.grpc_address, self._name, routes.generation, version, quiet=self._as_json)

    def _undo(self, routes: Routes, edit: _Edit) -> str:
        """Take a change back where nobody has changed the record since; what became of it, in words."""
        try:
            self._store.replace(self._name, edit(routes, Author(_user(), "the server refused it", datetime.now(UTC))))
        except ModelError as error:
            return f"the record still names it ({error})"
        return "the change is undone"

    def _report(self, routes: Routes, done: str, outcome: Verdict) -> None:
        if self._as_json:
            facts = {"name": self._name, "generation": routes.generation, "aliases": routes.aliases, "server": outcome.outcome}
            typer.echo(json.dumps(facts, indent=2))
            return
        typer.echo(f"{done} (generation {routes.generation})")
        if outcome.text:
            typer.echo(outcome.text, err=outcome.outcome != "served")


class _Progress:
    """A line for each gate."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._gate: Gate | None = None

    def at(self, gate: Gate) -> None:
        """The version is at `gate`, and through the one before."""
        self.end("passed")
        self._gate = gate

    def end(self, how: str) -> None:
        """The gate is behind it, or it ends here."""
        if self._gate is not None and not self._quiet:
            typer.echo(f"  {self._gate:<9} {how}")


def _newest_beside(version: str, name: str, settings: ServerSettings) -> str | None:
    """The newest of the other versions, if any. Raises ModelNotFound where `version` is not there."""
    versions = Repository(settings.models).versions(name)
    if version not in versions:
        listed = f"there are {', '.join(versions)}" if versions else "it has none: add one with `foretell add`"
        raise ModelNotFound(f"no version {version} of model {name!r} in {settings.models}; {listed}")
    others = [other for other in versions if other != version]
    return others[-1] if others else None


def _user() -> str:
    """The user of the operating system, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
