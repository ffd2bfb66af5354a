"""`foretell promote`, `rollback`, `canary`, `shadow` and `retire`: what they print of a change."""

import json
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass

import typer

from foretell.listing import chosen_settings, response_type
from grpc_server.changing import Changed, Changer, Progress, Wish
from grpc_server.gates import Gate
from grpc_server.verdict import Servers


@dataclass(frozen=True, slots=True)
class Asked:
    """What all these commands are told alike."""

    name: str
    why: str
    generation: int | None
    check: bool
    wait: bool
    as_json: bool


def change(asked: Asked, act: Callable[[Changer], Changed], **flags: object) -> None:
    """Do one change and tell of it. Raises SetupError where it is refused."""
    settings = chosen_settings(**flags)  # type: ignore[arg-type]  # typer has made each what it is to be
    wish = Wish(_user(), asked.why, asked.generation, asked.check, asked.wait)
    folder = None if flags["grpc_address"] or settings.control == "off" else settings.control_folder
    servers = Servers(folder, settings.grpc_address, response_type())
    changed = act(Changer(asked.name, settings, servers, wish, Progress() if asked.as_json else _Lines()))
    routes, verdict = changed.routes, changed.verdict
    if asked.as_json:
        facts = {"name": asked.name, "generation": routes.generation, "aliases": routes.aliases, "server": verdict.outcome}
        typer.echo(json.dumps(facts | {"servers": verdict.servers}, indent=2))
        return
    typer.echo(f"{changed.done} (generation {routes.generation})")
    if verdict.text:
        typer.echo(verdict.text, err=verdict.outcome != "served")


class _Lines(Progress):
    """A line for each gate."""

    def passed(self, gate: Gate) -> None:
        typer.echo(f"  {gate:<9} passed")

    def refused(self, gate: Gate) -> None:
        typer.echo(f"  {gate:<9} refused")

    def at(self, gate: str) -> None:
        typer.echo(f"  the server is at the gate {gate}")


def _user() -> str:
    """The user of the operating system, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
