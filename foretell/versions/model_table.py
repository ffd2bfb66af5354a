"""`foretell models`: what a server hosts, or what a repository holds."""

import json
import sys
from typing import Any

import typer
from google.protobuf import json_format
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from foretell.options import TargetOptions
from foretell.versions.target import servers_of, settings_at
from foretell_contract.errors import SetupError
from grpc_server.services.model_list import aliases_of, describe
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import percent
from grpc_server.store.route_table_files import RouteTableFiles

_UNBOUNDED = 10_000
"""Columns of what is no terminal: a file or a pipe wants whole lines."""


def list_models(told: TargetOptions) -> None:
    """Print the models of a server, or, where none answers at the settings' own address, of the repository.

    Raises SetupError where nobody answers at a target, or somebody who is no Foretell, or a manifest cannot be read.
    """
    settings = settings_at(told)
    servers = servers_of(settings, told)
    response: Any = servers.ask()
    if response is None:
        if told.target:
            raise SetupError(f"no server answers at {told.target}")
        response = servers.response_type()
        _describe_repository(response, Repository(settings.models))
        holds = "these are the versions" if response.models else "there is no version"
        typer.echo(f"no server answers at {settings.grpc_address}; {holds} in {settings.models}", err=True)
    listed = {"models": []} | json_format.MessageToDict(response, preserving_proto_field_name=True)
    if told.as_json:
        typer.echo(json.dumps(listed, indent=2))
    elif listed["models"]:
        _print(listed["models"])
        for following in response.following:
            _tell_of_shadow(following)
            _warn(following)


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


def _tell_of_shadow(following: Any) -> None:
    """How the answers of a shadow compare."""
    shadow = following.shadow
    if shadow.version and not shadow.compared + shadow.failed + shadow.left_out:
        typer.echo(f"{following.name}: shadow {shadow.version}: nothing is compared yet")
    elif shadow.version:
        agree = f", {percent(shadow.agreeing / shadow.compared)} agree" if shadow.compared else ""
        shifts = f"largest shift {shadow.largest_shift:.3g}, mean {shadow.mean_shift:.3g}"
        calls = f"{_milliseconds(shadow.mean_seconds)} an answer, {shadow.failed:,} failed, {shadow.left_out:,} left out"
        typer.echo(f"{following.name}: shadow {shadow.version}: {shadow.compared:,} rows compared{agree}; {shifts}; {calls}")


def _warn(following: Any) -> None:
    """What keeps a server from what the record asks for."""
    refused, followed = following.refused, following.followed
    if followed.reason:
        place = f"{followed.source}, which {followed.address} names,"
        typer.echo(f"{following.name}: {place} was refused: {followed.reason}", err=True)
    if following.trouble:
        typer.echo(f"{following.name}: {following.trouble}", err=True)
    if following.loading:
        typer.echo(f"{following.name}: version {following.loading} is at the gate {following.gate or 'door'}", err=True)
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
        table.add_row(
            model["name"],
            model["version"],
            ", ".join([*model.get("aliases", []), *_canary(model)]),
            model["format"],
            ", ".join(model.get("services", [])),
            str(model.get("placement", "")).removeprefix("PLACEMENT_").lower(),
            str(model.get("workers", "")),
            _milliseconds(cost.get("one_row_seconds")),
            _milliseconds(cost.get("batch_seconds")),
        )
    show(table)


def _canary(model: dict[str, Any]) -> list[str]:
    return [f"{percent(model['canary_share'])} as canary"] if "canary_share" in model else []


def show(table: Table) -> None:
    """Print a table, as wide as the terminal."""
    Console(markup=False, width=None if sys.stdout.isatty() else _UNBOUNDED).print(table)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.3g} ms"
