"""`foretell history`: how a record came to be."""

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from foretell.listing import show
from grpc_server.changing import percent
from grpc_server.repository import Repository
from grpc_server.route_store import RouteStore
from grpc_server.settings import ServerSettings


def show_history(settings: ServerSettings, name: str, *, as_json: bool) -> None:
    """Print the changes of a record, the last first. Raises SetupError where there is no such model, or its record is none."""
    repository = Repository(settings.models)
    repository.latest(name)
    routes = RouteStore(repository).read(name)
    if as_json:
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
