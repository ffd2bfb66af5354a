"""`foretell init`: from a trained model to a contract, and a version in the repository."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from google.protobuf.message import Message

from foretell.check.check_command import check
from foretell.check.diff_report import show
from foretell.init.draft_contract import Draft, draft
from foretell.init.update_contract import Revision
from foretell.mlflow.address import Address, is_address
from foretell_contract.contract import Contract, load
from foretell_contract.diff.diff import diff
from foretell_contract.errors import ContractError, SetupError
from foretell_contract.examples.example import example
from foretell_contract.source.compiler import IMPORTED, has_contracts
from foretell_contract.source.edit_file import FileEdit
from foretell_contract.source.spelling import snake
from grpc_server.checks.add_model import Added, add_model
from grpc_server.checks.inspect_model import ModelDescription, inspect_model
from grpc_server.checks.training_columns import ModelHints
from grpc_server.store.manifest import RegistrySource
from grpc_server.store.repository import Repository

_PACKAGE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.v[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class InitRequest:
    """What the user asked for."""

    file: Path
    data: Path | None
    package: str
    told: ModelHints
    labels: tuple[str, ...]
    protos: Path
    models: Path
    allow_version_skew: bool = False
    source: RegistrySource | None = None

    @property
    def contract_file(self) -> Path:
        """Where the contract goes."""
        return self.protos.joinpath(*self.package.split(".")) / f"{self.package.split('.')[-2]}.proto"

    @property
    def called(self) -> str:
        """What a model of one target predicts; empty where nobody says."""
        names = self.told.targets or self.told.outputs
        return names[0] if len(names) == 1 else ""

    @property
    def model(self) -> str:
        """Name of the model: the package without its version."""
        return self.package.rpartition(".")[0]


def package_of(place: str, package: str, name: str) -> str:
    """The package that is asked for, or else one that is named like the model, or like the folder of a file `model`.

    Raises SetupError for what is none.
    """
    file = Path(Address.parse(place).name if is_address(place) else place)
    source = file.resolve().parent.name if file.stem == "model" else file.stem
    wanted = package or f"{name or snake(source, 'model')}.v1"
    if not _PACKAGE.fullmatch(wanted):
        raise SetupError(f"{wanted!r} is no package: lower-case words and a version, such as churn.v1")
    if wanted.partition(".")[0] in IMPORTED:
        raise SetupError(f"the folder of {wanted} is one of {', '.join(IMPORTED)}, which hold imports: pass another --package")
    model = wanted.rpartition(".")[0]
    if name and model != name:
        raise SetupError(f"the package {wanted} is answered by the model {model!r}, not {name!r}: leave out one of the two")
    return wanted


def init(wish: InitRequest) -> None:
    """Write the contract, or bring it up to date, and add the model.

    Raises SetupError for what cannot be; nothing is then changed.
    """
    model = inspect_model(wish.file, wish.data, wish.told)
    shown = _shown(model, wish.labels)
    there = wish.contract_file.exists()
    before = load(wish.protos) if there or has_contracts(wish.protos) else None
    new = draft(model, wish.package, _free_path(wish, before), wish.called, shown)
    text, notes = _revised(wish, before, model, new, shown) if there and before else (new.text, [])
    with _written(wish.contract_file, text):
        contract = load(wish.protos)
        _try(wish, model, contract)
        added = _add(wish, model, contract, Repository(wish.models))
    _report(wish, model, added, contract, notes)
    if there and before:
        _compare(before, contract)


def _revised(
    wish: InitRequest, before: Contract, model: ModelDescription, new: Draft, shown: dict[str, str]
) -> tuple[str, list[str]]:
    """The text of a contract that is there, brought up to date, and what its author may want to look at."""
    services = [service for service in before.services if service.package == wish.package and service.methods]
    if not services:
        raise SetupError(f"{wish.contract_file} has no service that a model answers: move it away, or pass another --package")
    (path, *_) = services[0].methods[0].paths or ("",)
    if wish.data and _is_untouched(wish, path, shown):
        return replace(new, path=path).text, []
    revision = Revision(FileEdit.of(wish.contract_file), before, services[0], model)
    return revision.text(new.response, shown), revision.notes


def _is_untouched(wish: InitRequest, path: str, shown: dict[str, str]) -> bool:
    """Whether the contract is what was drafted without data, to the last byte: then nothing in it is the author's."""
    text = wish.contract_file.read_text(encoding="utf-8")
    bare = inspect_model(wish.file, None, wish.told)
    return any(draft(bare, wish.package, path, called, shown).text == text for called in {wish.called, ""})


@contextmanager
def _written(file: Path, text: str) -> Iterator[None]:
    """The file holds this text; it is as it was before, if the `with` block fails."""
    before = file.read_text(encoding="utf-8") if file.exists() else None
    _write(file, text)
    try:
        yield
    except BaseException:
        if before is None:
            file.unlink()
        else:
            _write(file, before)
        raise


def _try(wish: InitRequest, model: ModelDescription, contract: Contract) -> None:
    """Add the model to a repository that is gone again, to hold it against the contract. Raises SetupError with what is wrong."""
    with tempfile.TemporaryDirectory(prefix="foretell-") as folder:
        _add(wish, model, contract, Repository(Path(folder)))
        errors = [each for each in check(wish.protos, Path(folder), wish.model) if each.is_error]
    if errors:
        raise SetupError(f"the model and its contract cannot go together: {errors[0].location}: {errors[0].sentence}")


def _compare(before: Contract, after: Contract) -> None:
    findings = diff(before, after)
    typer.echo("\nfor those who call:")
    show(findings, "text", None)
    if any(finding.breaks for finding in findings):
        typer.echo("If that must not be, take the old file back, and give this model a package of its own with --package.")


def _shown(model: ModelDescription, labels: tuple[str, ...]) -> dict[str, str]:
    """Names for the classes of the model."""
    classes = model.targets[0].classes
    if labels and (len(model.targets) > 1 or len(labels) != len(classes)):
        known = f"{len(classes)} classes, {', '.join(classes)}" if classes else "no classes"
        raise SetupError(f"{len(labels)} labels are named, but the model tells {known} apart")
    return dict(zip(classes, labels, strict=True)) if labels else {}


def _free_path(wish: InitRequest, before: Contract | None) -> str:
    """A REST path that no other contract has."""
    *_, name, version = wish.package.split(".")
    services = before.services if before else ()
    taken = {path for service in services for method in service.methods for path in method.paths}
    choices = [f"/{name}/predict", f"/{name}/{version}/predict", f"/{wish.package.replace('.', '/')}/predict"]
    free = [path for path in choices if path not in taken and f"{path}/batch" not in taken]
    return free[0] if free else choices[-1]


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ContractError(f"cannot write {file}: {error.strerror}") from None


def _add(wish: InitRequest, model: ModelDescription, contract: Contract, repository: Repository) -> Added:
    several = len(model.targets) > 1
    return add_model(
        repository,
        wish.file,
        wish.model,
        tuple(column.name for column in model.columns),
        model.golden,
        classes=wish.told.classes,
        targets=tuple(target.name for target in model.targets) if several else (),
        dtypes=model.dtypes,
        contract=contract,
        format_name=wish.told.format,
        allow_version_skew=wish.allow_version_skew,
        observed=lambda _manifest: model.training,
        source=wish.source,
    )


def _report(wish: InitRequest, model: ModelDescription, added: Added, contract: Contract, notes: list[str]) -> None:
    service = next(service for service in contract.services if service.package == wish.package)
    method = service.methods[0]
    typer.echo(f"wrote {wish.contract_file}: {_counted(model.columns, 'column')} in, {_counted(method.answer.fields, 'field')} out")
    typer.echo(f"added {wish.model} version {added.version} as {added.format}: {added.reason}")
    for line in [*_advice(wish, model), *notes]:
        typer.echo(f"note: {line}")
    options = "".join(
        f" --{name} {value}" for name, value in (("protos", wish.protos), ("models", wish.models)) if str(value) != name
    )
    typer.echo(f"\nnext:\n  foretell check {wish.model}{options}\n  foretell serve{options}")
    row = example(method.input, contract.rules)
    if row is not None and model.answer and method.paths:
        typer.echo(
            f"  curl -s http://{_http_address()}{method.paths[0]} -H 'content-type: application/json' -d {_as_argument(row)}"
        )


def _counted(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


def _http_address() -> str:
    """Where `foretell serve` will take REST calls here."""
    from pydantic import ValidationError

    from foretell_lifecycle.settings import settings_error
    from rest_bridge.settings import BridgeSettings

    try:
        return BridgeSettings().http_address
    except ValidationError as error:
        raise settings_error(error) from None


def _as_argument(row: Message) -> str:
    import json
    import shlex

    from rest_bridge.json.codec import request_example

    return shlex.quote(json.dumps(request_example(row), ensure_ascii=False))


def _advice(wish: InitRequest, model: ModelDescription) -> list[str]:
    """What only the author can tell."""
    notes = []
    if wish.data is None:
        notes.append("without --data the contract has no bounds and no examples, and the model no golden rows")
    if not model.named:
        notes.append("the model does not know the names of its columns: pass --columns a,b,c or --data FILE")
    failing = [column.name for column in model.columns if None in column.values and not column.nullable]
    gaps = "is missing in some rows of the data, but the model fails on such a row: it is required"
    return notes + [f"{name!r} {gaps}" for name in failing]
