"""Options that several commands share, each defined once."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
ModelVersion = Annotated[str, typer.Argument(metavar="VERSION", help="Version in the repository.")]
Alias = Annotated[str, typer.Option(metavar="ALIAS", help="The name under which callers ask for it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Models = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the models.  [default: models]")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """How a server is called: `grpc_server.transport.tls.Trust` makes credentials of it."""

    roots: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificates in PEM to trust, of a server that takes encrypted calls.")
    ] = None
    tls: Annotated[bool, typer.Option("--tls", help="The server takes encrypted calls; trust the usual certificates.")] = False
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate in PEM to show to a server that asks for one.")
    ] = None
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Private key of that certificate, in PEM.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions(Calling):
    """Which record is meant: that of a repository at hand, or that of a server elsewhere."""

    target: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Ask the control service there instead of the repository at hand.")
    ] = None
    models: Models = None
    as_json: Json = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions(TargetOptions):
    """What all changes of a record are told."""

    why: Annotated[str, typer.Option(metavar="TEXT", help="Reason, for the history.")] = ""
    generation: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Change only the record of this generation; `foretell history` tells it.")
    ] = None
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for what a running server makes of it.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction(ChangeOptions):
    """A change by which a version is to answer."""

    no_check: Annotated[bool, typer.Option("--no-check", help="Leave the gates to the servers.")] = False
    protos: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the contracts.  [default: protos]")] = None


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command, for typer: the fields of the parameter that takes one of the classes above become options of their own."""
    own = list(inspect.signature(command).parameters.values())
    told = own.pop(next(number for number, parameter in enumerate(own) if is_dataclass(parameter.annotation)))
    known = {field.name: field for field in fields(told.annotation)}
    own_first = [known[name] for kind in told.annotation.__mro__[:-1] for name in inspect.get_annotations(kind)]
    options = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in own_first
    ]

    @wraps(command)
    def spread_out(**given: Any) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # grpcio reads it when it is imported; the command says what it would.
        values = {option.name: given.pop(option.name) for option in options}
        command(**given, **{told.name: told.annotation(**values)})

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + options
    spread_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect, and so typer, reads it
    spread_out.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread_out
