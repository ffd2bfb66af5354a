"""The command line. Imports are made inside the commands, so that `--help` answers at once."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from foretell import version_commands
from foretell.options import (
    Accelerate,
    Classes,
    Columns,
    Decimal,
    Encoding,
    FormatName,
    ModelPath,
    Models,
    ModelsFolder,
    Protos,
    ProtosFolder,
    Roots,
    Separator,
    StrictTyper,
    Tls,
    VersionSkew,
    flag,
    names,
)
from foretell_contract.errors import SetupError

app = StrictTyper(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

app.add_typer(version_commands.app)

_PROTOS, _MODELS = Path("protos"), Path("models")


def main() -> None:
    """Runs the command line. A SetupError is printed in one line on stderr, with exit code 2."""
    try:
        app()
    except SetupError as error:
        from foretell_lifecycle.process import refuse

        refuse(str(error))


@app.callback()
def foretell() -> None:
    """Serve a trained model from one contract: gRPC, REST, docs and clients from the same .proto file."""


@app.command()
def serve(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A trained model: the first start runs `foretell init` on it.")
    ] = None,
    data: Annotated[Path | None, flag("FILE", "The training data of MODEL, .csv or .parquet.")] = None,
    target: Annotated[list[str] | None, flag("T[,U]", "Target column of the data.")] = None,
    protos: Protos = None,
    models: Models = None,
    grpc_address: Annotated[
        str | None, flag("HOST:PORT", "Where gRPC listens; port 0: a free one.  [default: 127.0.0.1:50051]")
    ] = None,
    http_address: Annotated[
        str | None, flag("HOST:PORT", "Where REST listens; port 0: a free one.  [default: 127.0.0.1:8000]")
    ] = None,
    processes: Annotated[str | None, flag("N|auto", "Processes that share both ports; auto: one a core.  [default: 1]")] = None,
    bridge: Annotated[
        str | None, flag("inside|beside", "Run the REST bridge inside the gRPC server's process, or beside it.  [default: inside]")
    ] = None,
    placement: Annotated[str | None, flag("auto|inline|process", "Where models run; auto: by their cost.  [default: auto]")] = None,
    control: Annotated[
        str | None, flag("HOST:PORT|off", "Where the control service listens besides its Unix sockets.  [default: nowhere else]")
    ] = None,
    control_http: Annotated[str | None, flag("HOST:PORT|off", "Where the control service listens as REST.  [default: off]")] = None,
    workers: Annotated[str | None, flag("N|auto", "Worker processes of a slow model; auto: one a core.  [default: auto]")] = None,
    allow_version_skew: VersionSkew = False,
    follow: Annotated[
        list[str] | None,
        flag("models:/NAME@ALIAS", "Promote each version that an alias of the MLflow registry moves to; may be repeated."),
    ] = None,
) -> None:
    """Serve the production version of every model over gRPC and REST until Ctrl-C or SIGTERM, then drain.

    With MODEL, a start without its contract or a version drafts and adds them, as `foretell init`, which has more options, does.
    The first version of a model is its production until `foretell promote` names another.

    More settings come from FORETELL_... variables and from foretell.toml; docs/reference/settings.md lists them.
    """
    given = dict(locals())  # Each option is a setting of its name, but for those of MODEL.
    from foretell.serve.serve_command import serve as run

    flags = {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in given.items()
        if value not in (None, False) and name not in ("model", "data", "target")
    }
    if model is None and (data or target):
        raise SetupError("--data and --target are for a MODEL: pass its file, or leave them out")
    if model is None:
        run(flags)
    else:
        from foretell.init.first_start import ensure_model

        run(flags, partial(ensure_model, model, data, names(target)))


@app.command()
def add(
    model: ModelPath,
    name: Annotated[
        str, typer.Option(help="Name of the model: the contract's package without its version.  [default: as in the registry]")
    ] = "",
    columns: Columns = None,
    classes: Classes = None,
    targets: Annotated[
        list[str] | None, flag("T,U,V", "Targets in the order of the output, if the model predicts several.")
    ] = None,
    golden: Annotated[Path | None, flag("FILE", "Golden rows: rows with their expected outputs, one JSON object a line.")] = None,
    data: Annotated[
        Path | None, flag("FILE", "The training data, .csv or .parquet: `foretell check` compares the contract with it.")
    ] = None,
    sep: Separator = "",
    decimal: Decimal = "",
    encoding: Encoding = "",
    form: FormatName = "",
    allow_version_skew: VersionSkew = False,
    accelerate: Accelerate = None,
    protos: Annotated[
        Path | None,
        flag(
            "DIR",
            "Folder of the contracts, if any; a conversion must agree with the model within their rules.  [default: protos]",
            envvar="FORETELL_PROTOS",
        ),
    ] = None,
    models: ModelsFolder = _MODELS,
) -> None:
    """Add a trained model to the repository as its next version. The first one becomes production; `promote` moves it."""
    from foretell.mlflow.model_source import name_for, open_source
    from foretell_contract.contract import load
    from foretell_contract.source.compiler import has_contracts
    from grpc_server.checks.add_model import add_model
    from grpc_server.checks.data_file import DataFile
    from grpc_server.checks.training_answers import checked_data
    from grpc_server.errors import ModelError
    from grpc_server.store.repository import Repository

    try:
        rows = golden.read_bytes() if golden else b""
    except OSError as error:
        raise ModelError(f"cannot read {golden}: {error.strerror}") from None
    contract = load(protos or _PROTOS) if protos or has_contracts(_PROTOS) else None
    name = name_for(model, name)
    file = DataFile(data, sep, decimal, encoding) if data else None
    with open_source(model) as source:
        added = add_model(
            Repository(models),
            source.file,
            name,
            names(columns) or tuple(source.columns),
            rows,
            classes=names(classes),
            targets=names(targets),
            outputs=source.outputs,
            data=file,
            dtypes={} if columns or data else source.columns,
            acceleration=accelerate or "default",
            contract=contract,
            format_name=form,
            allow_version_skew=allow_version_skew,
            observed=lambda manifest, sources: (
                checked_data(file, contract, name, manifest, sources, source.file.name) if file else (None, None)
            ),
            source=source.source,
            code=source.code,
        )
    typer.echo(added.sentences(name))


@app.command()
def init(
    model: ModelPath,
    data: Annotated[Path | None, flag("FILE", "The training data, .csv or .parquet: bounds and examples come from it.")] = None,
    sep: Separator = "",
    decimal: Decimal = "",
    encoding: Encoding = "",
    target: Annotated[list[str] | None, flag("T[,U]", "Target column of the data, or several in order.")] = None,
    package: Annotated[str, flag("NAME.v1", "Package of the contract.  [default: the file's name, v1]")] = "",
    name: Annotated[str, typer.Option(help="Name of the model, instead of --package.")] = "",
    labels: Annotated[list[str] | None, flag("A,B,C", "Labels for the classes, in the model's order.")] = None,
    columns: Columns = None,
    classes: Classes = None,
    form: FormatName = "",
    accelerate: Accelerate = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Accept only texts like those of training, even if the model answers others.")
    ] = False,
    allow_version_skew: VersionSkew = False,
    write_breaking: Annotated[
        bool, typer.Option("--write-breaking", help="Update the contract of a retrained model even if callers break.")
    ] = False,
    tighten: Annotated[
        bool, typer.Option("--tighten", help="Let bounds shrink to the new data; without it they only widen.")
    ] = False,
    protos: ProtosFolder = _PROTOS,
    models: ModelsFolder = _MODELS,
) -> None:
    """Write or update the contract of a trained model, and add the model to the repository.

    Exit code 1, and nothing is written, if an update would break callers.
    """
    from foretell.init.init_command import init
    from foretell.init.init_options import InitOptions, package_name
    from foretell.mlflow.model_source import open_source
    from grpc_server.checks.data_file import DataFile
    from grpc_server.checks.training_columns import ModelHints

    file = DataFile(data, sep, decimal, encoding) if data else None
    wanted = package_name(model, package, name)
    hints = ModelHints(names(columns), names(target), classes=names(classes), format=form, strict=strict)
    options = InitOptions(
        Path(model), file, wanted, hints, names(labels), protos, models, allow_version_skew,
        write_breaking=write_breaking, tighten=tighten, model_name=name, accelerate=accelerate or "default",
    )  # fmt: skip
    with open_source(model) as source:
        typer.echo(init(options.of(source)))


@app.command()
def diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The contract that callers use: a folder, .proto, descriptor set, REV or REV:PATH.")
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The changed contract, in the same forms.")],
    form: Annotated[
        Literal["text", "json", "github", "markdown"],
        typer.Option("--format", help="Text, JSON, annotations on GitHub, or a changelog in Markdown."),
    ] = "text",
) -> None:
    """Show what a contract change means for callers. Exit code 1 if it breaks them, 2 if the contracts cannot be compared.

    REV is a Git revision: `foretell diff main protos`.
    """
    from foretell.check.diff_report import FORMS
    from foretell.check.diff_sides import folder, sides
    from foretell_contract.diff.diff import diff

    findings = diff(*sides(old, new))
    FORMS[form](findings, folder(new))
    if any(finding.breaks for finding in findings):
        raise typer.Exit(1)


@app.command()
def check(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Name of a model.  [default: all]")] = None,
    protos: ProtosFolder = _PROTOS,
    models: ModelsFolder = _MODELS,
    form: Annotated[
        Literal["text", "json", "github"], typer.Option("--format", help="Text, JSON, or annotations on GitHub.")
    ] = "text",
    allow_version_skew: VersionSkew = False,
) -> None:
    """List all problems of the contracts and their models. Exit code 1 if one of them is an error."""
    from foretell.check.check_command import FORMS, check

    found = check(protos, models, model, allow_version_skew=allow_version_skew)
    FORMS[form](found, protos)
    if any(each.is_error for each in found):
        raise typer.Exit(1)


@app.command("test")
def run_tests(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Name of a model.  [default: all that are served]")] = None,
    target: Annotated[
        str | None, flag("HOST:PORT", "A running gRPC server.  [default: one is started for this repository]")
    ] = None,
    rest: Annotated[str | None, flag("URL", "REST address of that server, such as http://127.0.0.1:8000.")] = None,
    protos: Annotated[Path | None, flag("DIR", "Folder of the contracts.  [default: the target's reflection, or protos]")] = None,
    models: Annotated[
        Path | None, flag("DIR", "Folder of the models with their golden rows.  [default: models, without a target]")
    ] = None,
    roots: Roots = None,
    tls: Tls = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every check as JSON.")] = False,
    junit: Annotated[Path | None, flag("FILE", "Also write a JUnit report.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List passed checks too.")] = False,
) -> None:
    """Test a server with requests made from its contract, over gRPC and REST. Exit code 1 if a check fails."""
    from foretell.testing.suite import SuiteOptions
    from foretell.testing.test_command import test

    options = SuiteOptions(model, target, rest, protos, models, roots, tls)
    if not test(options, as_json=as_json, junit=junit, verbose=verbose):
        raise typer.Exit(1)
