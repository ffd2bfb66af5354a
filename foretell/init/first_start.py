"""`foretell serve MODEL`: drafts the contract of the model and adds the model before a start, unless both are there."""

import shlex
from pathlib import Path

import typer

from foretell.init.init_command import init, with_model_name
from foretell.init.init_options import InitOptions, package_name
from foretell.mlflow.address import Address, follow_settings, is_address
from foretell.mlflow.model_source import open_source
from foretell.settings import ServeSettings
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from foretell_contract.source.compiler import has_contracts
from grpc_server.checks.data_file import DataFile
from grpc_server.checks.training_columns import ModelHints
from grpc_server.runtimes.formats import format_table
from grpc_server.store.manifest import Manifest
from grpc_server.store.repository import Repository, sha256


def ensure_model(location: str, data: Path | None, targets: tuple[str, ...], settings: ServeSettings) -> None:
    """Runs `foretell init` on the model at `location`, unless its contract and a version are there, and prints what is served.

    Raises what `init` raises, and SetupError if the settings follow another model.
    """
    package, file, folders = package_name(location, "", ""), DataFile(data) if data else None, (settings.protos, settings.models)
    options = InitOptions(
        Path(location), file, package, ModelHints(targets=targets), (), *folders, settings.allow_version_skew, accelerate="default"
    )
    name = with_model_name(options, load(options.protos) if has_contracts(options.protos) else None).model
    for followed in follow_settings(settings.follow):
        if followed.name != name:
            raise SetupError(f"{location} is the model {name!r}, but follow is {followed}: leave out one of the two")
    repository = Repository(options.models)
    added = [repository.manifest(name, version) for version in repository.versions(name)]
    if is_new := not (options.contract_file.exists() and added):
        with open_source(location) as source:
            init(options.of(source))
    elif not _is_added(location, added):
        given = {"--data": str(data or ""), "--target": ",".join(targets)}
        arguments = [location, *(word for option in given.items() if option[1] for word in option)]
        command = f"foretell init {shlex.join(arguments)}{options.folder_flags}"
        typer.echo(f"no version of {name} is {location} as it is now: `{command}` makes it the next version")
    typer.echo(f"serving {'it' if is_new else 'what is there'}; the contract is yours to edit: {options.contract_file}\n")


def _is_added(location: str, added: list[Manifest]) -> bool:
    """Whether one of the versions was added from `location` as it is now; True if that is unknown. Raises SetupError."""
    if is_address(location):
        return Address.parse(location).moves or location in {each.source.address for each in added if each.source}
    with open_source(location) as source:
        return not {sha256(format_table.read(source.file)), ""}.isdisjoint(each.added_file for each in added)
