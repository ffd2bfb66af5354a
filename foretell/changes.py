"""`foretell promote`, `rollback`, `canary`, `shadow` and `retire`: where a change is made, and what is printed of it."""

import json
import os
import pwd
from collections.abc import Callable
from typing import Protocol

import typer

from foretell.options import Change, Introduction
from foretell.place import servers_of, settings_at, trust
from foretell.remote import RemoteChanger
from grpc_server.changing import Changed, Changer, Progress, Wish


class Changes(Protocol):
    """The changes of a record; Changer says what each does. Each raises SetupError where it is refused."""

    def promote(self, version: str, alias: str) -> Changed:
        """Put an alias on a version."""

    def canary(self, version: str, share: float) -> Changed:
        """Let a version answer a share of the calls; with 0, none."""

    def shadow(self, version: str, *, end: bool) -> Changed:
        """Have a version asked what production is asked, or end that."""

    def rollback(self, alias: str) -> Changed:
        """Put an alias back."""

    def retire(self, version: str) -> Changed:
        """Take every alias from a version."""


def change(name: str, told: Change, act: Callable[[Changes], Changed]) -> None:
    """Do one change and tell of it. Raises SetupError where it is refused."""
    check = not (isinstance(told, Introduction) and told.no_check)
    wish = Wish(_user(), told.why, told.generation, check, wait=not told.no_wait)
    changed = _remotely(name, told, wish, act) if told.target else _here(name, told, wish, act)
    verdict = changed.verdict
    if told.as_json:
        facts = {"name": name, "generation": changed.generation, "aliases": dict(changed.aliases), "server": verdict.outcome}
        typer.echo(json.dumps(facts | {"servers": verdict.servers}, indent=2))
        return
    typer.echo(f"{changed.done} (generation {changed.generation})")
    if verdict.text:
        typer.echo(verdict.text, err=verdict.outcome != "served")


def _here(name: str, told: Change, wish: Wish, act: Callable[[Changes], Changed]) -> Changed:
    settings = settings_at(told)
    return act(Changer(name, settings, servers_of(settings, told), wish, _progress(told)))


def _remotely(name: str, told: Change, wish: Wish, act: Callable[[Changes], Changed]) -> Changed:
    settings_at(told)
    with RemoteChanger(str(told.target), trust(told), name, wish, _progress(told)) as changer:
        return act(changer)


def _progress(told: Change) -> Progress:
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
