"""Prints what `foretell init` has done, and the commands to run next."""

import json
import shlex
from collections.abc import Iterator, Sequence

import typer
from pydantic import ValidationError

from foretell.check.diff_report import show_text
from foretell.init.init_options import InitOptions
from foretell_contract.contract import Contract
from foretell_contract.diff.diff import diff
from foretell_contract.examples.example import example
from foretell_contract.service import Method
from foretell_lifecycle.settings import settings_error
from grpc_server.checks.add_model import Added
from grpc_server.checks.inspect_model import ModelDescription
from rest_bridge.json.codec import request_example
from rest_bridge.settings import BridgeSettings


def report(options: InitOptions, model: ModelDescription, added: Added, contract: Contract, notes: Sequence[str]) -> None:
    """Prints the file, the version, notes for the author, and the next commands. Raises SetupError for wrong settings."""
    service = next(service for service in contract.services if service.package == options.package)
    method = service.methods[0]
    counts = f"{_counted(model.columns, 'column')} in, {_counted(method.answer.fields, 'field')} out"
    typer.echo(f"wrote {options.contract_file}: {counts}")
    typer.echo(f"added {options.model} version {added.version} as {added.format}: {added.reason}")
    for note in [*_model_notes(options, model), *notes]:
        typer.echo(f"note: {note}")
    flags = "".join(_flag(name, value) for name, value in (("protos", options.protos), ("models", options.models)))
    typer.echo(f"\nnext:\n  foretell check {options.model}{flags}\n  foretell serve{flags}")
    if model.answer and method.paths:
        _show_call(method, contract)


def report_changes(before: Contract, after: Contract) -> None:
    """Prints the differences between two contracts that callers notice."""
    findings = diff(before, after)
    typer.echo("\nchanges for callers:")
    show_text(findings)
    if any(finding.breaks for finding in findings):
        typer.echo("To avoid these, restore the old file and give this model a package of its own with --package.")


def _model_notes(options: InitOptions, model: ModelDescription) -> Iterator[str]:
    if options.data is None:
        yield "without --data the contract has no bounds and no examples, and the model no golden rows"
    if not model.named:
        yield "the model does not know the names of its columns: pass --columns a,b,c or --data FILE"
    for column in model.columns:
        if None in column.values and not column.nullable:
            yield f"{column.name!r} is required: it is missing in some rows of the data, but the model fails on such rows"


def _show_call(method: Method, contract: Contract) -> None:
    """Prints a call of the method at the address on which `foretell serve` will take REST requests."""
    row = example(method.input, contract.rules)
    if row is None:
        return
    try:
        address = BridgeSettings().http_address
    except ValidationError as error:
        raise settings_error(error) from None
    body = shlex.quote(json.dumps(request_example(row), ensure_ascii=False))
    typer.echo(f"  curl -s http://{address}{method.paths[0]} -H 'content-type: application/json' -d {body}")


def _flag(name: str, value: object) -> str:
    return "" if str(value) == name else f" --{name} {value}"


def _counted(items: Sequence[object], noun: str) -> str:
    return f"{len(items)} {noun}{'s' * (len(items) != 1)}"
