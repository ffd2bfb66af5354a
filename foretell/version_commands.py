"""The commands about which version of a model answers. Imports are made inside, as in `cli`."""

from pathlib import Path
from typing import Annotated

import typer

from foretell.options import Alias, ChangeOptions, Introduction, Json, Models, ModelVersion, Name, TargetOptions, spread
from foretell_contract.errors import SetupError

app = typer.Typer()


@app.command()
@spread
def promote(name: Name, version: ModelVersion, told: Introduction, alias: Alias = "production") -> None:
    """Let a version answer under an alias, once it is through the gates; running servers follow within a second."""
    from foretell.versions.change_report import change

    change(name, told, lambda changes: changes.promote(version, alias))


@app.command()
@spread
def canary(
    name: Name,
    version: ModelVersion,
    share: Annotated[str, typer.Option(metavar="PERCENT", help="Of the calls that choose nothing, such as 5%; 0 ends it.")],
    told: Introduction,
) -> None:
    """Let a version answer a share of the calls, each routing key always by the same version."""
    from foretell.versions.change_report import change

    fraction = _share(share)
    change(name, told, lambda changes: changes.canary(version, fraction))


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / 100
    except ValueError:
        raise SetupError(f"{text!r} is no share: write a number of percent, such as 5%") from None


@app.command()
@spread
def shadow(
    name: Name,
    version: ModelVersion,
    told: Introduction,
    end: Annotated[bool, typer.Option("--end", help="End it.")] = False,
) -> None:
    """Compare a version with production: it is asked the same, and answers nobody. `foretell models` tells how they compare."""
    from foretell.versions.change_report import change

    change(name, told, lambda changes: changes.shadow(version, end=end))


@app.command()
def shadow_report(
    name: Name,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="The shadow; without it, the one on record, else the last one.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The production to compare with.  [default: the last one]")
    ] = None,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with plots as well.")] = None,
    models: Models = None,
) -> None:
    """Tell how a shadow compares with production: labels, shifts of numbers, latency, and the rows that differ most."""
    from foretell.shadow.shadow_report import report
    from foretell.versions.target import chosen_settings

    report(chosen_settings(models=models), name, version, against, as_json=as_json, page=html)


@app.command()
@spread
def rollback(name: Name, told: ChangeOptions, alias: Alias = "production") -> None:
    """Put an alias back on the version before; once more goes further back."""
    from foretell.versions.change_report import change

    change(name, told, lambda changes: changes.rollback(alias))


@app.command()
@spread
def retire(name: Name, version: ModelVersion, told: ChangeOptions) -> None:
    """Take every alias from a version; servers keep it no longer, and rollbacks skip it. Its files stay."""
    from foretell.versions.change_report import change

    change(name, told, lambda changes: changes.retire(version))


@app.command()
@spread
def history(name: Name, told: TargetOptions) -> None:
    """Tell who changed what answers, when and why."""
    from foretell.versions.history import show_history

    show_history(name, told)


@app.command()
@spread
def models(told: TargetOptions) -> None:
    """List the models that a running server hosts, or, where none answers, the versions on disk."""
    from foretell.versions.model_table import list_models

    list_models(told)
