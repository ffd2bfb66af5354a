"""`foretell history`: how a record came to be."""

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from foretell.options import TargetOptions
from foretell.versions.model_table import show
from foretell.versions.remote_control import Remote
from foretell.versions.target import settings_at, trust
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import RouteTable, percent
from grpc_server.store.route_table_files import RouteTableFiles


def show_history(name: str, told: TargetOptions) -> None:
    """Print the changes of a record, the last first. Raises SetupError where there is no such model, or its record is none."""
    routes = _routes(name, told)
    if told.as_json:
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
        typer.echo(f"{name} has no record yet: its newest version is production, from the start of a server on", err=True)


def _routes(name: str, told: TargetOptions) -> RouteTable:
    repository = Repository(settings_at(told).models)
    if told.target:
        with Remote(told.target, trust(told)) as remote:
            return remote.routes(name)
    repository.latest(name)
    return RouteTableFiles(repository).read(name)
