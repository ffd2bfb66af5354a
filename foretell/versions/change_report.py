"""Makes the route change of a command, here or through a control service, and prints its progress and result."""

import json
from collections.abc import Mapping
from typing import Any

import typer

from foretell.options import ChangeOptions, GatedChangeOptions
from foretell.versions.remote_control import ControlClient
from foretell.versions.target import servers_for, settings_for, trust
from foretell_lifecycle.platform import user_name
from grpc_server.changes.route_changes import ChangeRequest, ChangeResult, GateStage, RouteChanger
from grpc_server.store.route_table import Verb


def change(name: str, options: ChangeOptions, verb: Verb, fields: Mapping[str, Any]) -> None:
    """Makes a route change, the method `verb` of RouteChanger, and prints the result. Raises SetupError if it is refused."""
    check = not (isinstance(options, GatedChangeOptions) and options.no_check)
    request = ChangeRequest(user_name(), options.why, options.generation, check, wait=not options.no_wait)
    result = _make_change(name, options, request, verb, fields)
    convergence = result.convergence
    if options.as_json:
        facts = {"name": name, "generation": result.generation, "aliases": dict(result.aliases), "server": convergence.outcome}
        typer.echo(json.dumps(facts | {"servers": convergence.servers}, indent=2))
        return
    typer.echo(f"{result.done} (generation {result.generation})")
    if convergence.text:
        typer.echo(convergence.text, err=convergence.outcome != "served")


def _make_change(name: str, options: ChangeOptions, request: ChangeRequest, verb: Verb, fields: Mapping[str, Any]) -> ChangeResult:
    settings = settings_for(options)
    on_progress = (lambda _stage, _gate: None) if options.as_json else _print_progress
    if options.target:
        with ControlClient(options.target, trust(options)) as client:
            return client.change(name, request, verb, fields, on_progress)
    changer = RouteChanger(name, settings, servers_for(settings, options), request, on_progress)
    result: ChangeResult = getattr(changer, verb)(**fields)
    return result


def _print_progress(stage: GateStage, gate: str) -> None:
    typer.echo(f"  the server is at the gate {gate}" if stage == "reached" else f"  {gate:<9} {stage}")
