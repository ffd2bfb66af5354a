"""`foretell history`: how a record came to be."""

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from foretell.listing import show
from foretell.options import Place
from foretell.place import settings_at, trust
from foretell.remote import Remote
from grpc_server.changing import percent
from grpc_server.repository import Repository
from grpc_server.route_store import RouteStore
from grpc_server.routes import Routes


def show_history(name: str, told: Place) -> None:
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


def _routes(name: str, told: Place) -> Routes:
    repository = Repository(settings_at(told).models)
    if told.target:
        with Remote(told.target, trust(told)) as remote:
            return remote.routes(name)
    repository.latest(name)
    return RouteStore(repository).read(name)
