"""`foretell history`: the route changes of a model."""

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from foretell.options import TargetOptions
from foretell.versions.model_table import show
from foretell.versions.remote_control import ControlClient
from foretell.versions.target import settings_for, trust
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import RouteTable, percent
from grpc_server.store.route_table_files import RouteTableFiles


def show_history(name: str, options: TargetOptions) -> None:
    """Prints the route changes, the last first. Raises SetupError for an unknown model or an invalid route table."""
    routes = _routes(name, options)
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
        typer.echo(f"{name} has no route table yet: a server makes its newest version production when it starts", err=True)


def _routes(name: str, options: TargetOptions) -> RouteTable:
    repository = Repository(settings_for(options).models)
    if options.target:
        with ControlClient(options.target, trust(options)) as client:
            return client.routes(name)
    repository.latest(name)
    return RouteTableFiles(repository).read(name)
