"""The commands that read and change route tables. They import inside, as in `cli`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foretell.options import (
    Alias,
    ChangeOptions,
    GatedChangeOptions,
    Json,
    Models,
    ModelVersion,
    Name,
    StrictTyper,
    TargetOptions,
    expand_options,
    flag,
)
from foretell_contract.errors import SetupError

if TYPE_CHECKING:
    from grpc_server.store.route_table import Verb

app = StrictTyper()


@app.command()
@expand_options
def promote(name: Name, version: ModelVersion, options: GatedChangeOptions, alias: Alias = "production") -> None:
    """Point an alias at a version that passes the gates; running servers follow within a second."""
    _change(name, options, "promote", version=version, alias=alias)


@app.command()
@expand_options
def canary(
    name: Name,
    version: ModelVersion,
    share: Annotated[str, flag("PERCENT", "Share of the calls without a version or alias, such as 5%; 0 ends it.")],
    options: GatedChangeOptions,
) -> None:
    """Let a version answer a share of the calls; calls with one routing key get the same version."""
    _change(name, options, "canary", version=version, share=_share(share))


@app.command()
@expand_options
def shadow(
    name: Name,
    version: ModelVersion,
    options: GatedChangeOptions,
    end: Annotated[bool, typer.Option("--end", help="End the shadow.")] = False,
) -> None:
    """Send copies of production's calls to a version and compare the answers; `foretell models` shows how they differ."""
    _change(name, options, "shadow", version=version, end=end)


@app.command()
def shadow_report(
    name: Name,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="The shadow.  [default: the present one, else the last one]")
    ] = None,
    against: Annotated[str | None, flag("VERSION", "The production version to compare with.  [default: the last one]")] = None,
    as_json: Json = False,
    html: Annotated[Path | None, flag("FILE", "Also write a page with plots.")] = None,
    models: Models = None,
) -> None:
    """Show how a shadow differs from production: labels, shifts of numbers, latency, and the rows that differ most."""
    from foretell.shadow.shadow_report import report
    from foretell.versions.target import chosen_settings

    report(chosen_settings(models=models), name, version, against, as_json=as_json, page=html)


@app.command()
@expand_options
def rollback(name: Name, options: GatedChangeOptions, alias: Alias = "production") -> None:
    """Point an alias at its version before; a second rollback goes one further back."""
    _change(name, options, "rollback", alias=alias)


@app.command()
@expand_options
def retire(name: Name, version: ModelVersion, options: ChangeOptions) -> None:
    """Remove a version from all aliases: servers unload it and rollbacks skip it. Its files stay."""
    _change(name, options, "retire", version=version)


@app.command()
@expand_options
def history(name: Name, options: TargetOptions) -> None:
    """Show the route changes of a model: who, when and why."""
    from foretell.versions.model_table import show_history

    show_history(name, options)


@app.command()
@expand_options
def models(options: TargetOptions) -> None:
    """List the models of a running server, or the versions on disk if no server answers."""
    from foretell.versions.model_table import list_models

    list_models(options)


def _change(name: str, options: ChangeOptions, verb: "Verb", **fields: Any) -> None:
    from foretell.versions.change_report import change

    change(name, options, verb, fields)


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / 100
    except ValueError:
        raise SetupError(f"{text!r} is no share: write a number of percent, such as 5%") from None
