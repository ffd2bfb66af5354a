"""The commands that change which version of a model answers. Imports are made inside, as in `cli`."""

from pathlib import Path
from typing import Annotated

import typer

from contract.errors import SetupError

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
ModelVersion = Annotated[str, typer.Argument(metavar="VERSION", help="Version in the repository.")]
Alias = Annotated[str, typer.Option(metavar="ALIAS", help="The name under which callers ask for it.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="Reason, for the history.")]
Generation = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Change only the record of this generation; `foretell history` tells it.")
]
NoCheck = Annotated[bool, typer.Option("--no-check", help="Leave the gates to the servers.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for what a running server makes of it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Models = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the models.  [default: models]")]
Protos = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the contracts.  [default: protos]")]
Target = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="The gRPC server to wait for.  [default: what FORETELL_GRPC_ADDRESS says]")
]


@app.command()
def promote(
    name: Name,
    version: ModelVersion,
    alias: Alias = "production",
    why: Why = "",
    no_check: NoCheck = False,
    generation: Generation = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    models: Models = None,
    protos: Protos = None,
    target: Target = None,
) -> None:
    """Let a version answer under an alias, once it is through the gates; running servers follow within a second."""
    from foretell.changes import Asked, change

    asked = Asked(name, why, generation, check=not no_check, wait=not no_wait, as_json=as_json)
    change(asked, lambda changer: changer.promote(version, alias), models=models, protos=protos, grpc_address=target)


@app.command()
def canary(
    name: Name,
    version: ModelVersion,
    share: Annotated[str, typer.Option(metavar="PERCENT", help="Of the calls that choose nothing, such as 5%; 0 ends it.")],
    why: Why = "",
    no_check: NoCheck = False,
    generation: Generation = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    models: Models = None,
    protos: Protos = None,
    target: Target = None,
) -> None:
    """Let a version answer a share of the calls, each routing key always by the same version."""
    from foretell.changes import Asked, change

    fraction = _share(share)
    asked = Asked(name, why, generation, check=not no_check, wait=not no_wait, as_json=as_json)
    change(asked, lambda changer: changer.canary(version, fraction), models=models, protos=protos, grpc_address=target)


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / 100
    except ValueError:
        raise SetupError(f"{text!r} is no share: write a number of percent, such as 5%") from None


@app.command()
def shadow(
    name: Name,
    version: ModelVersion,
    end: Annotated[bool, typer.Option("--end", help="End it.")] = False,
    why: Why = "",
    no_check: NoCheck = False,
    generation: Generation = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    models: Models = None,
    protos: Protos = None,
    target: Target = None,
) -> None:
    """Compare a version with production: it is asked the same, and answers nobody. `foretell models` tells how they compare."""
    from foretell.changes import Asked, change

    asked = Asked(name, why, generation, check=not no_check, wait=not no_wait, as_json=as_json)
    change(asked, lambda changer: changer.shadow(version, end=end), models=models, protos=protos, grpc_address=target)


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
    from foretell.listing import chosen_settings
    from foretell.shadow_report import report

    report(chosen_settings(models=models), name, version, against, as_json=as_json, page=html)


@app.command()
def rollback(
    name: Name,
    alias: Alias = "production",
    why: Why = "",
    generation: Generation = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    models: Models = None,
    target: Target = None,
) -> None:
    """Put an alias back on the version before; once more goes further back."""
    from foretell.changes import Asked, change

    asked = Asked(name, why, generation, check=True, wait=not no_wait, as_json=as_json)
    change(asked, lambda changer: changer.rollback(alias), models=models, grpc_address=target)


@app.command()
def retire(
    name: Name,
    version: ModelVersion,
    why: Why = "",
    generation: Generation = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    models: Models = None,
    target: Target = None,
) -> None:
    """Take every alias from a version; servers keep it no longer, and rollbacks skip it. Its files stay."""
    from foretell.changes import Asked, change

    asked = Asked(name, why, generation, check=True, wait=not no_wait, as_json=as_json)
    change(asked, lambda changer: changer.retire(version), models=models, grpc_address=target)


@app.command()
def history(name: Name, as_json: Json = False, models: Models = None) -> None:
    """Tell who changed what answers, when and why."""
    from foretell.history import show_history
    from foretell.listing import chosen_settings

    show_history(chosen_settings(models=models), name, as_json=as_json)
