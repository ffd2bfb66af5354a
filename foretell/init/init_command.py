"""`foretell init`: drafts or updates the contract of a trained model, and adds the model to the repository."""

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import typer
from pydantic import ValidationError

from foretell.check.check_command import check
from foretell.check.diff_report import show_text
from foretell.init.draft_contract import ContractDraft, draft_contract
from foretell.init.init_options import InitOptions
from foretell.init.stated_order import check_class_order, check_target_order
from foretell.init.update_contract import updated_contract
from foretell_contract.contract import Contract, load
from foretell_contract.diff.diff import diff, next_package
from foretell_contract.diff.finding import Finding
from foretell_contract.errors import ContractError, SetupError
from foretell_contract.examples.example import example
from foretell_contract.source.compiler import has_contracts
from foretell_contract.source.spelling import counted
from foretell_contract.source.vendored_imports import vendor_imports
from foretell_lifecycle.settings import settings_error
from grpc_server.checks.add_model import Trial, add_model
from grpc_server.checks.added_version import Added
from grpc_server.checks.inspect_model import ModelDescription, inspect_model
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.store.manifest import Manifest
from grpc_server.store.repository import Repository
from rest_bridge.json.codec import request_example
from rest_bridge.settings import BridgeSettings

_MISFIT = "the model does not fit its contract: "
_REDRAFTED = "the contract was an untouched draft without data, and is drafted anew"


def init(options: InitOptions) -> str:
    """Writes or updates the contract, adds the model, and prints a report. Runs code from the model's file.

    Returns the commands to try next. Raises SetupError if the model, its data and the contract do not fit together, and Exit with
    code 1 if callers of the contract would break; no file is then changed.
    """
    model = inspect_model(options.file, options.data, options.hints, allow_version_skew=options.allow_version_skew)
    if not (options.hints.targets or options.hints.outputs):
        options = replace(options, hints=replace(options.hints, targets=tuple(model.target_values)))
    class_names = _class_names(model, options)
    before = load(options.protos) if has_contracts(options.protos) else None
    updated = before is not None and options.contract_file.exists()
    options = with_model_name(options, before)
    new = draft_contract(model, options.package, _free_path(options, before), options.target_name, class_names, options.model_name)
    text, notes = _updated(options, before, model, new, class_names) if before and updated else (new.text, [])
    with _staged(options, text) as staged, ExitStack() as undo:
        contract = load(staged.protos)
        changes = diff(before, contract) if before and updated else ()

        def trial(manifest: Manifest, files: dict[str, bytes]) -> None:
            Repository(staged.models).add(options.model, manifest, files)
            _check(staged)
            if updated:
                _show_changes(options, changes, accepted=options.write_breaking or _REDRAFTED in notes)
            undo.callback(_write(options.contract_file, text))

        added = _add(options, model, contract, trial, updated=updated)
        undo.pop_all()
    if any(change.breaks for change in changes):
        command = f"`foretell promote {options.model} {added.version}`"
        notes.append(f"earlier versions of {options.model} may not serve the changed contract: {command} before a server starts")
    if not before:
        vendor_imports(options.protos)
    return _report(options, model, added, contract, notes, is_new_folder=not before)


def with_model_name(options: InitOptions, before: Contract | None) -> InitOptions:
    """The options with the model that answers the package; a package beside others of a model gets a model of its own."""
    services = before.services if before else ()
    answering = [service.model for service in services if service.package == options.package]
    if answering or options.model_name:
        return replace(options, model_name=answering[0] if answering else options.model_name)
    return replace(options, model_name=options.package) if options.model in {each.model for each in services} else options


def _updated(
    options: InitOptions, before: Contract, model: ModelDescription, new: ContractDraft, class_names: dict[str, str]
) -> tuple[str, list[str]]:
    """The updated text of the existing contract, and notes for its author."""
    services = [service for service in before.services if service.package == options.package and service.methods]
    if not services:
        raise SetupError(f"{options.contract_file} has no service with a method: move the file away, or pass another --package")
    (path, *_) = services[0].methods[0].paths or ("",)
    if options.data and _is_untouched_draft(options, path, class_names):
        return replace(new, path=path).text, [_REDRAFTED]
    file, tighten = options.contract_file, options.tighten
    return updated_contract(file, before, services[0], model, new.response, class_names, tighten=tighten)


def _is_untouched_draft(options: InitOptions, path: str, class_names: dict[str, str]) -> bool:
    """Whether the file is byte for byte a draft without data; its author has then changed nothing."""
    text = options.contract_file.read_text(encoding="utf-8")
    try:
        model = inspect_model(options.file, None, options.hints, allow_version_skew=True)
    except ModelError:  # Some models show their outputs for rows of the data only; there is no draft without data then.
        return False
    names = {options.target_name, ""}
    drafts = (draft_contract(model, options.package, path, name, class_names, options.model_name) for name in names)
    return any(draft.text == text for draft in drafts)


@contextmanager
def _staged(options: InitOptions, text: str) -> Iterator[InitOptions]:
    """The options for a temporary copy of the contracts, in which the contract has this text."""
    with tempfile.TemporaryDirectory(prefix="foretell-") as folder:
        protos = Path(folder) / "protos"
        if options.protos.is_dir():
            shutil.copytree(options.protos, protos)
        staged = replace(options, protos=protos, models=Path(folder) / "models")
        staged.contract_file.parent.mkdir(parents=True, exist_ok=True)
        staged.contract_file.write_text(text, encoding="utf-8")
        yield staged


def _write(file: Path, text: str) -> Callable[[], object]:
    """Writes the file, and returns a function that restores it."""
    before = file.read_bytes() if file.exists() else None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ContractError(f"cannot write {file}: {error.strerror}") from None
    return file.unlink if before is None else partial(file.write_bytes, before)


def _check(options: InitOptions) -> None:
    """Raises ModelMismatch with the first error of the model in the repository of the options."""
    found = check(options.protos, options.models, options.model, allow_version_skew=options.allow_version_skew)
    error = next((each for each in found if each.is_error), None)
    if error:
        raise ModelMismatch(f"{_MISFIT}{error.location}: {error.sentence}")


def _show_changes(options: InitOptions, findings: Sequence[Finding], *, accepted: bool) -> None:
    """Prints the changes for callers. Raises Exit if one breaks them, unless that is accepted."""
    typer.echo("changes for callers:")
    show_text(findings)
    if any(finding.breaks for finding in findings) and not accepted:
        typer.echo(
            f"foretell: nothing is written, because callers of {options.package} would break: pass --write-breaking to write it "
            f"all the same, or {_beside(options)}",
            err=True,
        )
        raise typer.Exit(1)


def _beside(options: InitOptions) -> str:
    return f"--package {next_package(options.package)} for a contract beside it"


def _class_names(model: ModelDescription, options: InitOptions) -> dict[str, str]:
    """The names for callers by class.

    Raises SetupError if there is not one label for each class, and if the data shows that names are in another order.
    """
    labels, classes = options.labels, model.targets[0].classes
    check_target_order(model)
    if options.hints.classes == classes:
        check_class_order(model, classes, "--classes")
    if not labels:
        return {}
    if len(model.targets) > 1 or not classes:
        raise SetupError("--labels needs a classifier with one target: leave it out")
    if len(labels) != len(classes):
        raise SetupError(f"--labels names {len(labels)} classes, but the model has {len(classes)}: {', '.join(classes)}")
    check_class_order(model, labels, "--labels")
    return dict(zip(classes, labels, strict=True))


def _free_path(options: InitOptions, before: Contract | None) -> str:
    """A REST path that no other contract has."""
    *_, name, version = options.package.split(".")
    services = before.services if before else ()
    taken = {path for service in services for method in service.methods for path in method.paths}
    choices = [f"/{name}/predict", f"/{name}/{version}/predict", f"/{options.package.replace('.', '/')}/predict"]
    free = [path for path in choices if path not in taken and f"{path}/batch" not in taken]
    return free[0] if free else choices[-1]


def _add(options: InitOptions, model: ModelDescription, contract: Contract, trial: Trial, *, updated: bool) -> Added:
    """Adds the model if it passes the trial. Raises ModelError."""
    several = len(model.targets) > 1
    try:
        return add_model(
            Repository(options.models),
            options.file,
            options.model,
            tuple(column.name for column in model.columns),
            model.golden,
            classes=options.hints.classes,
            targets=tuple(target.name for target in model.targets) if several else (),
            dtypes=model.dtypes,
            acceleration=options.accelerate,
            contract=contract,
            format_name=options.hints.format,
            allow_version_skew=options.allow_version_skew,
            observed=lambda *loaded: model.observed(contract, options.model, *loaded),
            source=options.source,
            code=options.code,
            trial=trial,
        )
    except ModelMismatch as mismatch:
        if not str(mismatch).startswith(_MISFIT):
            raise  # The model itself is at fault, whatever its contract.
        way_out = f"; or pass {_beside(options)}" if updated else ""
        raise SetupError(f"{str(mismatch).rstrip('.')}{way_out}") from None


def _report(
    options: InitOptions, model: ModelDescription, added: Added, contract: Contract, notes: Sequence[str], *, is_new_folder: bool
) -> str:
    """Prints what was written; the commands to try next."""
    service = next(service for service in contract.services if service.package == options.package)
    method = service.methods[0]
    counts = f"{counted(len(model.columns), 'column')} in, {counted(len(method.answer.fields), 'field')} out"
    typer.echo(f"wrote {options.contract_file}: {counts}")
    if is_new_folder:
        typer.echo(f"wrote what it imports to {options.protos}, for buf and protoc")
    typer.echo(added.sentences(options.model))
    for note in [*_model_notes(options, model), *notes]:
        typer.echo(f"note: {note}")
    commands = f"\nnext:\n  foretell check {options.model}{options.folder_flags}\n  foretell serve{options.folder_flags}"
    row = example(method.input, contract.rules) if model.answer and method.paths else None
    if row is not None:
        body = shlex.quote(json.dumps(request_example(row), ensure_ascii=False))
        commands += f"\n  curl -s http://{_http_address()}{method.paths[0]} -H 'content-type: application/json' -d {body}"
    return commands


def _model_notes(options: InitOptions, model: ModelDescription) -> Iterator[str]:
    if options.data is None:
        yield "without --data the contract has no bounds and no examples, and the model no golden rows"
    yield from (*model.data_notes, *model.notes)
    if not model.named:
        yield "the model does not know the names of its columns: pass --columns a,b,c or --data FILE"
    for column in model.columns:
        if None in column.values and not column.nullable:
            yield f"{column.name!r} is required: it is missing in some rows of the data, but the model fails on such rows"


def _http_address() -> str:
    """The address on which `foretell serve` will take REST requests."""
    try:
        return BridgeSettings().http_address
    except ValidationError as error:
        raise settings_error(error) from None
