"""The command line. Imports are made inside the commands, so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from foretell import version_commands
from foretell_contract.errors import SetupError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

app.add_typer(version_commands.app)

_PROTOS = Path("protos")
_Skew = Annotated[
    bool,
    typer.Option(
        "--allow-version-skew",
        envvar="FORETELL_ALLOW_VERSION_SKEW",
        help="Take a model that another minor version of scikit-learn trained.",
    ),
]
_MODEL = "A trained model you trust, for it is loaded: a file, a folder that MLflow saved, or models:/NAME@ALIAS of its registry."
_FORMAT = "Format of the file, where its name and its content fit several."


def main() -> None:
    """Run the command line. What cannot be done is said in one line on stderr, with exit code 2."""
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
    protos: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the contracts.  [default: protos]")] = None,
    models: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the models.  [default: models]")] = None,
    grpc_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where gRPC listens; port 0: a free one.  [default: 127.0.0.1:50051]"),
    ] = None,
    http_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where REST listens; port 0: a free one.  [default: 127.0.0.1:8000]"),
    ] = None,
    processes: Annotated[
        str | None, typer.Option(metavar="N|auto", help="Processes that share both ports; auto: one a core.  [default: 1]")
    ] = None,
    bridge: Annotated[
        str | None,
        typer.Option(metavar="inside|beside", help="Where REST is served: in the gRPC server's process, or in one of its own."),
    ] = None,
    placement: Annotated[
        str | None, typer.Option(metavar="auto|inline|process", help="Where models run; auto: by their cost.  [default: auto]")
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT|off", help="Where changes are taken, beside Unix sockets.  [default: on those alone]"),
    ] = None,
    control_http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT|off", help="Where they are taken over REST, with docs.  [default: off]")
    ] = None,
    workers: Annotated[
        str | None, typer.Option(metavar="N|auto", help="Worker processes of a slow model; auto: one a core.  [default: auto]")
    ] = None,
    allow_version_skew: _Skew = False,
    follow: Annotated[
        list[str] | None,
        typer.Option(metavar="models:/NAME@ALIAS", help="Promote what an alias in MLflow's registry moves to; may be repeated."),
    ] = None,
) -> None:
    """Serve every contract with the version on record, else the newest, until Ctrl-C or SIGTERM; then finish what was accepted.

    More settings come from FORETELL_... variables and from foretell.toml; docs/reference/settings.md lists them.
    """
    from foretell.serve.serve_command import serve as run

    flags = {"protos": protos, "models": models, "grpc_address": grpc_address, "http_address": http_address}
    flags |= {"processes": processes, "bridge": bridge, "placement": placement, "workers": workers, "control": control}
    flags |= {"control_http": control_http}
    flags |= {"allow_version_skew": "true" if allow_version_skew else None, "follow": ",".join(follow) if follow else None}
    run({name: str(value) for name, value in flags.items() if value is not None})


@app.command()
def add(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)],
    name: Annotated[
        str, typer.Option(help="Name of the model: the contract's package without its version.  [default: as in the registry]")
    ] = "",
    columns: Annotated[
        str, typer.Option(metavar="A,B,C", help="Training columns in training order, where the model does not name them.")
    ] = "",
    classes: Annotated[
        str, typer.Option(metavar="X,Y,Z", help="Classes in the order of the output, where the model does not name them.")
    ] = "",
    targets: Annotated[
        str,
        typer.Option(metavar="T,U,V", help="What the model predicts, in the order of its output, where that is several things."),
    ] = "",
    golden: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows with their expected answers, one JSON object a line.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The training data, .csv or .parquet: `foretell check` holds the contract against it."),
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help=_FORMAT)] = "",
    allow_version_skew: _Skew = False,
    accelerate: Annotated[
        Literal["onnx", "trees", "auto"] | None,
        typer.Option(help="Serve a conversion that agrees with the model; auto: the fastest there is, if any."),
    ] = None,
    protos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="FORETELL_PROTOS",
            help="Folder of the contracts, if any: what the model is for, and what --accelerate keeps to.  [default: protos]",
        ),
    ] = None,
    models: Annotated[Path, typer.Option(metavar="DIR", envvar="FORETELL_MODELS", help="Folder of the models.")] = Path("models"),
) -> None:
    """Put a trained model into the repository as its next version."""
    from foretell.mlflow.model_source import name_for, opened
    from foretell_contract.contract import load
    from foretell_contract.source.compiler import has_contracts
    from grpc_server.checks.add_model import add_model
    from grpc_server.checks.training_data import observed_in
    from grpc_server.errors import ModelError
    from grpc_server.store.repository import Repository

    try:
        rows = golden.read_bytes() if golden else b""
    except OSError as error:
        raise ModelError(f"cannot read {golden}: {error.strerror}") from None
    contract = load(protos or _PROTOS) if protos or has_contracts(_PROTOS) else None
    name = name_for(model, name)
    with opened(model) as found:
        added = add_model(
            Repository(models),
            found.file,
            name,
            _names(columns) or tuple(found.columns),
            rows,
            classes=_names(classes),
            targets=_names(targets),
            outputs=found.outputs,
            acceleration=accelerate,
            contract=contract,
            format_name=form,
            allow_version_skew=allow_version_skew,
            observed=observed_in(data) if data else lambda _manifest: None,
            source=found.source,
        )
    typer.echo(f"added {name} version {added.version} as {added.format}: {added.reason}")


@app.command()
def init(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The training data, .csv or .parquet: bounds and examples come from it.")
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="T[,U]", help="What the model predicts: a column of the data, or several in order.")
    ] = "",
    package: Annotated[str, typer.Option(metavar="NAME.v1", help="Package of the contract.  [default: the file's name, v1]")] = "",
    name: Annotated[str, typer.Option(help="Name of the model, where --package is left out.")] = "",
    labels: Annotated[str, typer.Option(metavar="A,B,C", help="What callers see for the classes, in the model's order.")] = "",
    columns: Annotated[
        str, typer.Option(metavar="A,B,C", help="Training columns in training order, where the model does not name them.")
    ] = "",
    classes: Annotated[
        str, typer.Option(metavar="X,Y,Z", help="Classes in the order of the output, where the model does not name them.")
    ] = "",
    form: Annotated[str, typer.Option("--format", metavar="NAME", help=_FORMAT)] = "",
    allow_version_skew: _Skew = False,
    protos: Annotated[Path, typer.Option(metavar="DIR", envvar="FORETELL_PROTOS", help="Folder of the contracts.")] = _PROTOS,
    models: Annotated[Path, typer.Option(metavar="DIR", envvar="FORETELL_MODELS", help="Folder of the models.")] = Path("models"),
) -> None:
    """Write a contract for a trained model, and put the model into the repository."""
    from foretell.init.init_command import InitRequest, init, package_of
    from foretell.mlflow.model_source import opened
    from grpc_server.checks.training_columns import ModelHints

    wanted = package_of(model, package, name)
    with opened(model) as found:
        told = ModelHints(
            columns=_names(columns) or tuple(found.columns),
            targets=_names(target),
            outputs=found.outputs,
            classes=_names(classes),
            format=form,
            dtypes=found.columns,
            optional=found.optional,
        )
        init(InitRequest(found.file, data, wanted, told, _names(labels), protos, models, allow_version_skew, found.source))


def _names(listed: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in listed.split(","))))


@app.command()
def diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="What callers know: a folder, .proto, descriptor set, REV or REV:PATH.")
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="What they will meet, in the same forms.")],
    form: Annotated[
        Literal["text", "json", "github", "markdown"],
        typer.Option("--format", help="For people, programs, annotations on GitHub, or a changelog for callers."),
    ] = "text",
) -> None:
    """Tell what a change of a contract means for its callers. Exit code 1 where it breaks them, 2 where that cannot be told.

    REV is a revision of git: `foretell diff main protos`.
    """
    from foretell.check.diff_report import show
    from foretell.check.diff_sides import folder, sides
    from foretell_contract.diff.diff import diff

    findings = diff(*sides(old, new))
    show(findings, form, folder(new))
    if any(finding.breaks for finding in findings):
        raise typer.Exit(1)


@app.command()
def check(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Name of a model; without it, all that are there.")] = None,
    protos: Annotated[Path, typer.Option(metavar="DIR", envvar="FORETELL_PROTOS", help="Folder of the contracts.")] = _PROTOS,
    models: Annotated[Path, typer.Option(metavar="DIR", envvar="FORETELL_MODELS", help="Folder of the models.")] = Path("models"),
    form: Annotated[
        Literal["text", "json", "github"], typer.Option("--format", help="For people, programs, or annotations on GitHub.")
    ] = "text",
) -> None:
    """List everything that is wrong with the contracts and their models. Exit code 1 where anything is an error."""
    from foretell.check.check_command import check, show

    found = check(protos, models, model)
    show(found, form, protos)
    if any(each.is_error for each in found):
        raise typer.Exit(1)


@app.command("test")
def run_tests(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Name of a model; without it, all that are served.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A gRPC server that runs. Without it, one is started for this repository."),
    ] = None,
    rest: Annotated[
        str | None, typer.Option(metavar="URL", help="The REST address of that server, such as http://127.0.0.1:8000.")
    ] = None,
    protos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the contracts.  [default: what the target says of itself, or protos]"),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the models, which holds the golden rows.  [default: models, without a target]"),
    ] = None,
    roots: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificates in PEM to trust; the target then takes encrypted calls.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="The target takes encrypted calls; trust the usual certificates.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every check as JSON.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report for CI as well, in the form of JUnit.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List what passed as well.")] = False,
) -> None:
    """Test a server with requests made from its contract, over gRPC and REST. Exit code 1 if a check fails."""
    from foretell.testing.suite import SuiteOptions
    from foretell.testing.test_command import test

    options = SuiteOptions(model, target, rest, protos, models, roots, tls)
    if not test(options, as_json=as_json, junit=junit, verbose=verbose):
        raise typer.Exit(1)
