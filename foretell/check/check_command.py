"""`foretell check`: lists every problem of the contracts and their models before they are served."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

import typer

from foretell.check.annotations import annotate, console, show_message
from foretell.check.training_fit import training_problems
from foretell_contract.contract import Contract
from foretell_contract.errors import DeclarationError, SetupError
from foretell_contract.lint.contract_check import LocatedProblem, check_contracts, locate
from foretell_contract.problem import Problem, Severity, warning
from foretell_contract.service import Service
from grpc_server.errors import ModelError
from grpc_server.loading.examined_bundle import find_problems
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Bundle, Repository
from grpc_server.store.version_skew import skewed
from rest_bridge.json.codec import Codec
from rest_bridge.openapi.reserved_paths import collisions

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}

_REINSTALL = "install that version, or train and add it again"

Found = Sequence[LocatedProblem]


def check(protos: Path, models: Path, model: str | None, *, allow_version_skew: bool = False) -> list[LocatedProblem]:
    """The problems of the contracts, and of `model` with its services; None for every model in the repository.

    Loads and tries each model as a start does. Raises SetupError if no service has the model `model`.
    """
    contract, found = check_contracts(protos)
    if contract is None:
        return found
    if model is not None and model not in {service.model for service in contract.services}:
        raise SetupError(f"no service under {protos} has the model {model!r}")
    settings = ServerSettings(placement="inline")
    settings = settings.model_copy(update={"allow_version_skew": allow_version_skew or settings.allow_version_skew})
    further = [*_bridge_problems(contract), *_model_problems(contract, models, model, settings)]
    return sorted([*found, *locate(contract, further)], key=lambda each: each.location)


def _bridge_problems(contract: Contract) -> Iterator[Problem]:
    """REST paths that the bridge itself uses, and messages that JSON cannot express."""
    yield from collisions(contract)
    methods = [method for service in contract.services for method in service.methods if method.paths]
    messages = (message for method in methods for message in (method.input, method.output))
    for message in {message.full_name: message for message in messages}.values():
        try:
            Codec(message, contract.rules)
        except DeclarationError as refusal:
            yield from refusal.problems


def _model_problems(contract: Contract, models: Path, model: str | None, settings: ServerSettings) -> Iterator[Problem]:
    repository = Repository(models)
    stored = set(repository.names()) if models.is_dir() else set()
    for service in contract.services:
        if service.model == model or (model is None and service.model in stored):
            yield from _service_problems(contract, service, repository, settings)


def _service_problems(contract: Contract, service: Service, repository: Repository, settings: ServerSettings) -> Iterator[Problem]:
    try:
        bundle = repository.read(service.model, repository.latest(service.model))
        with warnings.catch_warnings(action="ignore"):
            found: Sequence[Problem] = find_problems(bundle, contract, service, settings)
        yield from training_problems(contract, service, bundle)
        yield from _changed_libraries(service, bundle, settings)
    except ModelError as refusal:
        found = refusal.problems
    yield from (replace(each, name=each.name or service.full_name) for each in found)


def _changed_libraries(service: Service, bundle: Bundle, settings: ServerSettings) -> Iterator[Problem]:
    """Warnings for libraries whose version changed since the model was added: its outputs may differ slightly."""
    manifest = bundle.manifest
    skew = () if settings.allow_version_skew else skewed(manifest.format, manifest.libraries)
    reported = {library for library, _, _ in skew}
    for name, version in manifest.libraries.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # A library that training needed and serving does not.
        if installed != version and name not in reported:
            yield warning(
                service.full_name, f"{bundle.title} was added with {name} {version}, but {installed} is installed", _REINSTALL
            )


def _text(found: Found, _folder: Path) -> None:
    out = console()
    for each in found:
        show_message(out, each.location, each.problem.severity.value, _STYLES[each.problem.severity], each.sentence)
    counts = Counter(each.problem.severity for each in found)
    totals = [f"{counts[severity]} {severity.value}{'s' * (counts[severity] != 1)}" for severity in Severity if counts[severity]]
    out.print(", ".join(totals) or "Nothing is wrong.")


def _json(found: Found, _folder: Path) -> None:
    listed = [asdict(each.location) | asdict(each.problem) | {"severity": each.problem.severity.value} for each in found]
    typer.echo(json.dumps({"errors": sum(each.is_error for each in found), "problems": listed}, indent=2))


def _github(found: Found, folder: Path) -> None:
    for each in found:
        severity = each.problem.severity.value
        annotate(severity, folder, each.location, severity, each.sentence)


FORMS: dict[str, Callable[[Found, Path], None]] = {"text": _text, "json": _json, "github": _github}
"""Printers by the value of `--format`; they take the folder of the contracts."""
