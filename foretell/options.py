"""Options that several commands share, each defined once."""

import csv
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from typer.core import TyperCommand, TyperOption

from foretell_contract.errors import SetupError


def flag(metavar: str, text: str, *names: str, envvar: str | None = None) -> Any:
    """An option that takes a value, shown as `metavar`, with this help."""
    return typer.Option(*names, metavar=metavar, help=text, envvar=envvar)


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
ModelVersion = Annotated[str, typer.Argument(metavar="VERSION", help="Version in the repository.")]
Alias = Annotated[str, flag("ALIAS", "Alias by which callers choose the version.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
Roots = Annotated[Path | None, flag("FILE", "Certificates in PEM to trust, for a server with TLS.")]
Tls = Annotated[bool, typer.Option("--tls", help="Use TLS and trust the system's certificates.")]
Models = Annotated[Path | None, flag("DIR", "Folder of the models.  [default: models]")]
Protos = Annotated[Path | None, flag("DIR", "Folder of the contracts.  [default: protos]")]

ModelsFolder = Annotated[Path, flag("DIR", "Folder of the models.", "--models", envvar="FORETELL_MODELS")]
ProtosFolder = Annotated[Path, flag("DIR", "Folder of the contracts.", "--protos", envvar="FORETELL_PROTOS")]
ModelPath = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A trained model from a source you trust, since loading it can run code: a file, a folder saved by MLflow, or "
        "models:/NAME@ALIAS of the MLflow registry.",
    ),
]
Columns = Annotated[list[str] | None, flag("A,B,C", "Training columns in training order, if the model does not name them.")]
Classes = Annotated[list[str] | None, flag("X,Y,Z", "Classes in the order of the output, if the model does not name them.")]
Separator = Annotated[str, flag("CHARACTER", "Separator of the columns in a CSV file.  [default: found in the file]", "--sep")]
Decimal = Annotated[str, flag("CHARACTER", "Decimal separator in a CSV file.  [default: found in the file]")]
Encoding = Annotated[str, flag("NAME", "Encoding of a CSV file, as cp1252.  [default: found in the file]")]
FormatName = Annotated[str, flag("NAME", "Format of the file, if its name and content fit several.", "--format")]
Accelerate = Annotated[
    Literal["no", "auto", "onnx", "trees"] | None,
    typer.Option(help="Serve a conversion that gives the same outputs.  [default: the fastest one, if it is 1.5 times as fast]"),
]
VersionSkew = Annotated[
    bool,
    typer.Option(
        "--allow-version-skew",
        envvar="FORETELL_ALLOW_VERSION_SKEW",
        help="Accept a model trained with another minor version of scikit-learn.",
    ),
]


Command = TypeVar("Command", bound=Callable[..., Any])


class StrictCommand(TyperCommand):
    """Refuses an option that is given twice, of which click would use the last one only."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click. Raises SetupError."""
        *_, order = self.make_parser(ctx).parse_args(args=list(args))
        single = (each for each in order if isinstance(each, TyperOption) and not (each.multiple or each.is_flag))
        twice = next((each.opts[0] for each in single if order.count(each) > 1), None)
        if twice is not None:
            raise SetupError(f"{twice} is given twice: give it once")
        return super().parse_args(ctx, args)


class StrictTyper(typer.Typer):
    """Typer whose commands are StrictCommands."""

    def command(self, *given: Any, **settings: Any) -> Callable[[Command], Command]:
        """See typer."""
        return super().command(*given, cls=StrictCommand, **settings)


def names(given: list[str] | None) -> tuple[str, ...]:
    """The names in an option that lists them, also if it is repeated; a name with a comma is in double quotes."""
    return tuple(
        filter(None, (name.strip() for text in given or () for name in next(csv.reader([text], skipinitialspace=True), ())))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Credentials for calls to a server; see `grpc_server.transport.tls.Trust`."""

    roots: Roots = None
    tls: Tls = False
    certificate: Annotated[Path | None, flag("FILE", "Client certificate in PEM, for mutual TLS.")] = None
    key: Annotated[Path | None, flag("FILE", "Private key of that certificate, in PEM.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions(TlsOptions):
    """The route table that a command reads or changes: in the local repository, or through a server's control service."""

    target: Annotated[str | None, flag("HOST:PORT", "Use the control service there instead of the local repository.")] = None
    models: Models = None
    as_json: Json = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions(TargetOptions):
    """Options of every route change."""

    why: Annotated[str, flag("TEXT", "Reason, for the history.")] = ""
    generation: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Refuse the change at another generation; `foretell history` shows the present one."),
    ] = None
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until running servers follow.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedChangeOptions(ChangeOptions):
    """Options of a route change whose version must pass the gates."""

    no_check: Annotated[bool, typer.Option("--no-check", help="Run the gates on the servers only.")] = False
    protos: Protos = None


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator for typer: turns the fields of the parameter with one of the classes above into options of the command."""
    own = list(inspect.signature(command).parameters.values())
    grouped = own.pop(next(number for number, parameter in enumerate(own) if is_dataclass(parameter.annotation)))
    known = {field.name: field for field in fields(grouped.annotation)}
    own_first = [known[name] for kind in grouped.annotation.__mro__[:-1] for name in inspect.get_annotations(kind)]
    options = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in own_first
    ]

    @wraps(command)
    def expanded(**given: Any) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # Read when grpcio is imported; commands report its errors themselves.
        values = {option.name: given.pop(option.name) for option in options}
        command(**given, **{grouped.name: grouped.annotation(**values)})

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + options
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect, and so typer, reads it
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded
