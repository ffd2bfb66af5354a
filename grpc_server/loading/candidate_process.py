"""A version in a process of its own, held against the gates: what grpc_server/loading/candidate_trial.py has forked.

Whatever it does there, what is served does not feel it. One line of JSON tells of each gate that it comes to, and the last one what
came out.
"""

import contextlib
import json
import os
import socket
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.contract import Contract, load_set
from foretell_contract.diff.contract_revision import breaking_changes
from foretell_lifecycle.platform import kill_when_closed, name_process
from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.loading.load_model import try_model
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Bundle, Repository
from grpc_server.workers.cost import Clock, Cost
from grpc_server.workers.pauses import Pausing

_MOST_FINDINGS = 3

Tell: TypeAlias = Callable[[dict[str, Any]], None]


def examine(
    name: str, version: str, settings: ServerSettings, contract: Contract, tell: Tell, clock: Clock, *, returns: bool
) -> list[Cost]:
    """What a run costs by the clock, for each service that the version answers. Raises ModelError.

    One that `returns` is not held against the contract that it was made for: nobody gets worse than before.
    """
    gates = Gates(f"model {name!r} version {version}", lambda gate: tell({"gate": gate}))
    with gates(Gate.DIGEST):
        bundle = Repository(settings.models).read(name, version)
    if bundle.contract and not returns:
        with gates(Gate.REVISION):
            _check_revision(bundle, contract)
    services = [service for service in contract.services if service.model == name]
    return [try_model(bundle, contract, service, settings, gates, clock) for service in services]


def _check_revision(bundle: Bundle, contract: Contract) -> None:
    found = breaking_changes(bundle.contract, contract, bundle.name)
    if found:
        lines = "; ".join(finding.sentence for finding in found[:_MOST_FINDINGS])
        more = f" (and {len(found) - _MOST_FINDINGS} more)" if len(found) > _MOST_FINDINGS else ""
        raise ModelMismatch(
            f"{bundle.title} was made for another revision of the contract, whose callers this one breaks: {lines}{more}; "
            "serve the change as a new package beside the old one, or add the model again for the contract as it is"
        )


def _all(line: socket.socket) -> bytes:
    with line.makefile("rb") as file:
        return file.read()


def main(facts: dict[str, Any], clock: Clock, pauses: Pausing, told: socket.socket, lifeline: socket.socket) -> None:
    """Run the process, forked for it: `facts` are `name`, `version`, `settings` as JSON has them, and whether it `returns`.

    The contract comes first, as a FileDescriptorSet.
    """
    name_process(f"trial {facts['name']}")
    os.setpgid(0, 0)  # What it starts ends with it. No session of its own: Linux would give that as much time as the server's.
    kill_when_closed(lifeline)
    warnings.filterwarnings("ignore", message="X does not have valid feature names")

    def tell(news: dict[str, Any]) -> None:
        told.sendall(json.dumps(news).encode() + b"\n")

    with contextlib.suppress(ConnectionError):  # Nobody waits for it any more.
        try:
            compiled = _all(told)
            with pauses:
                settings, contract = (
                    ServerSettings.model_validate(facts["settings"]),
                    load_set(FileDescriptorSet.FromString(compiled)),
                )
                costs = examine(facts["name"], facts["version"], settings, contract, tell, clock, returns=facts["returns"])
        except ModelError as error:
            tell({"refused": str(error), "gate": error.gate})
        except BaseException as error:  # A model may raise anything, SystemExit too.
            tell({"refused": f"{type(error).__name__}: {str(error)[:200]}", "gate": ""})
        else:
            tell({"costs": [[cost.one_row, cost.batch] for cost in costs]})
