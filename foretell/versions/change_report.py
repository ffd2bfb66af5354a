"""`foretell promote`, `rollback`, `canary`, `shadow` and `retire`: where a change is made, and what is printed of it."""

import json
import os
import pwd
from collections.abc import Callable
from typing import Protocol

import typer

from foretell.options import ChangeOptions, Introduction
from foretell.versions.remote_control import RemoteChanger
from foretell.versions.target import servers_of, settings_at, trust
from grpc_server.changes.route_changes import ChangeRequest, Progress, RouteChange, RouteChanger


class Changes(Protocol):
    """The changes of a record; Changer says what each does. Each raises SetupError where it is refused."""

    def promote(self, version: str, alias: str) -> RouteChange:
        """Put an alias on a version."""

    def canary(self, version: str, share: float) -> RouteChange:
        """Let a version answer a share of the calls; with 0, none."""

    def shadow(self, version: str, *, end: bool) -> RouteChange:
        """Have a version asked what production is asked, or end that."""

    def rollback(self, alias: str) -> RouteChange:
        """Put an alias back."""

    def retire(self, version: str) -> RouteChange:
        """Take every alias from a version."""


def change(name: str, told: ChangeOptions, act: Callable[[Changes], RouteChange]) -> None:
    """Do one change and tell of it. Raises SetupError where it is refused."""
    check = not (isinstance(told, Introduction) and told.no_check)
    wish = ChangeRequest(_user(), told.why, told.generation, check, wait=not told.no_wait)
    changed = _remotely(name, told, wish, act) if told.target else _here(name, told, wish, act)
    verdict = changed.verdict
    if told.as_json:
        facts = {"name": name, "generation": changed.generation, "aliases": dict(changed.aliases), "server": verdict.outcome}
        typer.echo(json.dumps(facts | {"servers": verdict.servers}, indent=2))
        return
    typer.echo(f"{changed.done} (generation {changed.generation})")
    if verdict.text:
        typer.echo(verdict.text, err=verdict.outcome != "served")


def _here(name: str, told: ChangeOptions, wish: ChangeRequest, act: Callable[[Changes], RouteChange]) -> RouteChange:
    settings = settings_at(told)
    return act(RouteChanger(name, settings, servers_of(settings, told), wish, _progress(told)))


def _remotely(name: str, told: ChangeOptions, wish: ChangeRequest, act: Callable[[Changes], RouteChange]) -> RouteChange:
    settings_at(told)
    with RemoteChanger(str(told.target), trust(told), name, wish, _progress(told)) as changer:
        return act(changer)


def _progress(told: ChangeOptions) -> Progress:
    return Progress() if told.as_json else _Lines()


class _Lines(Progress):
    """A line for each gate."""

    def passed(self, gate: str) -> None:
        typer.echo(f"  {gate:<9} passed")

    def refused(self, gate: str) -> None:
        typer.echo(f"  {gate:<9} refused")

    def at(self, gate: str) -> None:
        typer.echo(f"  the server is at the gate {gate}")


def _user() -> str:
    """The user of the operating system, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
