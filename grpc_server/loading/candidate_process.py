"""The candidate process: it takes one version through all gates and reports to the server, in lines of JSON.

A line for each gate that the version comes to, and a last one with the costs or the reason of the refusal.
"""

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.contract import Contract, load_set
from foretell_contract.diff.contract_revision import breaking_changes
from foretell_lifecycle.platform import lower_priority, name_process
from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError, ModelMismatch, exception_text
from grpc_server.loading.examined_bundle import examine, measured
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Bundle, Repository
from grpc_server.workers.cost import Cost
from grpc_server.workers.worker_process import LOADING_NICE, import_format

_MOST_FINDINGS = 3
"""Breaking changes that a refusal lists."""


def main(line: socket.socket, name: str, version: str, settings: dict[str, Any], contract: bytes, returns: bool) -> None:
    """Run the process: `settings` are ServerSettings as JSON, `contract` is a serialized FileDescriptorSet.

    A version that `returns` has been served before and skips REVISION.
    """
    name_process(f"trial {name}")
    import_format(Path(settings["models"]), name, version)
    lower_priority(LOADING_NICE)

    def report(news: dict[str, Any]) -> None:
        line.sendall(json.dumps(news).encode() + b"\n")

    with contextlib.suppress(ConnectionError):  # The server has stopped the trial.
        try:
            parsed = ServerSettings.model_validate(settings), load_set(FileDescriptorSet.FromString(contract))
            gates = Gates(f"model {name!r} version {version}", lambda gate: report({"gate": gate}))
            costs = _try_version(name, version, *parsed, gates, returns=returns)
        except ModelError as error:
            report({"refused": str(error), "gate": error.gate})
        except BaseException as error:  # A model may raise anything, SystemExit too.
            report({"refused": exception_text(error), "gate": ""})
        else:
            report({"costs": [[cost.one_row, cost.batch] for cost in costs]})


def _try_version(
    name: str, version: str, settings: ServerSettings, contract: Contract, gates: Gates, *, returns: bool
) -> list[Cost]:
    """The cost of a run for each service that the version answers. Raises ModelError."""
    repository = Repository(settings.models)
    with gates(Gate.DIGEST):
        bundle = repository.read(name, version)
    if bundle.contract and not returns:  # Its callers are no worse off than before if it returns.
        with gates(Gate.REVISION):
            _check_revision(bundle, contract, repository)
    costs = []
    for service in contract.services:
        if service.model == name:
            examined = examine(bundle, contract, service, settings, gates)
            with gates(Gate.WARM_UP):
                costs.append(measured(examined, settings))
    return costs


def _check_revision(bundle: Bundle, contract: Contract, repository: Repository) -> None:
    found = breaking_changes(bundle.contract, contract, bundle.name)
    answered = repository.answered_contract(bundle.name, bundle.version) if found else b""
    if found and (not answered or breaking_changes(answered, contract, bundle.name)):
        lines = "; ".join(finding.sentence for finding in found[:_MOST_FINDINGS])
        more = f" (and {len(found) - _MOST_FINDINGS} more)" if len(found) > _MOST_FINDINGS else ""
        raise ModelMismatch(
            f"{bundle.title} was made for another revision of the contract, whose callers this one breaks: {lines}{more}; "
            "serve the change as a new package beside the old one, or add the model again for the contract as it is"
        )
