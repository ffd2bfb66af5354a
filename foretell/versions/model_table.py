"""`foretell models` and `foretell history`: tables of models and route changes, of a running server or a repository."""

import json
import sys
from typing import Any

import typer
from google.protobuf import json_format
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from foretell.options import TargetOptions
from foretell.versions.remote_control import ControlClient
from foretell.versions.target import servers_for, settings_for, trust
from foretell_contract.errors import SetupError
from grpc_server.services.model_list import aliases_of, describe
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import RouteTable, percent
from grpc_server.store.route_table_files import RouteTableFiles

_UNBOUNDED = 10_000
"""Width of output to a file or pipe, so that lines are not wrapped."""


def list_models(options: TargetOptions) -> None:
    """Prints the models of a server; without a target and if no server answers, those of the repository.

    Raises SetupError if no Foretell server answers at the target, or a manifest cannot be read.
    """
    settings = settings_for(options)
    servers = servers_for(settings, options)
    response: Any = servers.list_models()
    if response is None:
        if options.target:
            raise SetupError(f"no server answers at {options.target}")
        response = servers.response_type()
        _describe_repository(response, Repository(settings.models))
        holds = "these are the versions" if response.models else "there is no version"
        typer.echo(f"no server answers at {settings.grpc_address}; {holds} in {settings.models}", err=True)
    listed = {"models": []} | json_format.MessageToDict(response, preserving_proto_field_name=True)
    if options.as_json:
        typer.echo(json.dumps(listed, indent=2))
    elif listed["models"]:
        _print(listed["models"])
        for following in response.following:
            if following.shadow.version:
                typer.echo(f"{following.name}: {shadow_line(following.shadow)}")
            _print_problems(following)


def _describe_repository(response: Any, repository: Repository) -> None:
    store = RouteTableFiles(repository)
    for name in repository.names():
        routes = store.read(name)
        if routes.shadow:
            response.following.add(name=name, generation=routes.generation).shadow.version = routes.shadow
        for version in repository.versions(name):
            listed = describe(response, name, version, repository.manifest(name, version))
            listed.aliases.extend(aliases_of(version, routes.aliases))
            listed.generation = routes.generation
            if routes.canary and routes.canary.version == version:
                listed.canary_share = routes.canary.share


def shadow_line(shadow: Any) -> str:
    """A foretell.v1.Shadow in words; the share that agrees is left out for answers without labels."""
    if not shadow.compared + shadow.failed + shadow.left_out:
        return f"shadow {shadow.version}: no rows are compared yet"
    agree = f", {percent(shadow.agreeing / shadow.labelled)} agree" if shadow.labelled else ""
    shifts = f"largest shift {shadow.largest_shift:.3g}, mean {shadow.mean_shift:.3g}"
    calls = f"{_milliseconds(shadow.mean_seconds)} an answer, {shadow.failed:,} failed, {shadow.left_out:,} left out"
    return f"shadow {shadow.version}: {shadow.compared:,} rows compared{agree}; {shifts}; {calls}"


def _print_problems(following: Any) -> None:
    refused, followed = following.refused, following.followed
    if followed.reason:
        typer.echo(f"{following.name}: {followed.address} names {followed.source}, which was refused: {followed.reason}", err=True)
    if following.trouble:
        typer.echo(f"{following.name}: {following.trouble}", err=True)
    if following.loading:
        stage = f"at the gate {following.gate}" if following.gate else "before the first gate"
        typer.echo(f"{following.name}: version {following.loading} is {stage}", err=True)
    if refused.version:
        typer.echo(
            f"{following.name}: version {refused.version} was refused at the gate {refused.gate}: {refused.reason}", err=True
        )


def _print(models: list[dict[str, Any]]) -> None:
    table = Table("name", "version", "aliases", "format", "services", "placement", box=SIMPLE_HEAD, show_edge=False)
    for title in ("workers", "1 row", "64 rows"):
        table.add_column(title, justify="right")
    for model in models:
        cost = model.get("cost", {})
        canary = [f"{percent(model['canary_share'])} as canary"] if "canary_share" in model else []
        table.add_row(
            model["name"],
            model["version"],
            ", ".join([*model.get("aliases", []), *canary]),
            model["format"],
            ", ".join(model.get("services", [])),
            str(model.get("placement", "")).removeprefix("PLACEMENT_").lower(),
            str(model.get("workers", "")),
            _milliseconds(cost.get("one_row_seconds")),
            _milliseconds(cost.get("batch_seconds")),
        )
    show(table)


def show_history(name: str, options: TargetOptions) -> None:
    """Prints the route changes, the last first. Raises SetupError for an unknown model or an invalid route table."""
    routes = _route_table(name, options)
    if options.as_json:
        typer.echo(routes.model_dump_json(indent=2))
    elif routes.history:
        table = Table("generation", "when", "who", "what", "alias", "from", "to", "share", "why", box=SIMPLE_HEAD, show_edge=False)
        for change in reversed(routes.history):
            when = change.when.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            share = "" if change.share is None else percent(change.share)
            moved = [change.alias or "", change.before or "", change.after or "", share]
            table.add_row(str(change.generation), when, change.who, change.what, *moved, change.why)
        show(table)
    else:
        typer.echo(f"{name} has no route table yet: the first server records what it answers with, its newest version", err=True)


def _route_table(name: str, options: TargetOptions) -> RouteTable:
    repository = Repository(settings_for(options).models)
    if options.target:
        with ControlClient(options.target, trust(options)) as client:
            return client.routes(name)
    repository.latest(name)
    return RouteTableFiles(repository).read(name)


def show(table: Table) -> None:
    """Prints a table as wide as the terminal."""
    Console(markup=False, width=None if sys.stdout.isatty() else _UNBOUNDED).print(table)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.3g} ms"
