"""A version in a process of its own, held against the gates, as grpc_server/trial.py asks for it.

Whatever it does there, what is served does not feel it. One line of JSON tells of each gate that it comes to, and the last one what
came out.
"""

import contextlib
import json
import os
import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.contract import Contract, load
from contract.errors import SetupError
from contract.revision import broken
from grpc_server.cost import Cost
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.gates import Gate, Gates
from grpc_server.lifeline import end_with
from grpc_server.model import try_model
from grpc_server.repository import Bundle, Repository
from grpc_server.runtimes import loader_of
from grpc_server.settings import ServerSettings

_MOST_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class Request:
    """What a candidate is to be held against the gates."""

    name: str
    version: str
    settings: dict[str, Any]
    """Of the server, as JSON has them."""
    returns: bool
    """Whether it has answered before."""


def examine(request: Request, settings: ServerSettings, contract: Contract, tell: Callable[[dict[str, Any]], None]) -> list[Cost]:
    """What a run costs, for each service that the version answers. Raises ModelError.

    One that `returns` is not held against the contract that it was made for: nobody gets worse than before.
    """
    name, version = request.name, request.version
    gates = Gates(f"model {name!r} version {version}", lambda gate: tell({"gate": gate}))
    with gates(Gate.DIGEST):
        bundle = Repository(settings.models).read(name, version)
    if bundle.contract and not request.returns:
        with gates(Gate.REVISION):
            _check_revision(bundle, contract)
    services = [service for service in contract.services if service.model == name]
    return [try_model(bundle, contract, service, settings, gates) for service in services]


def import_runtime(request: Request) -> None:
    """Before the gates, whose seconds are the version's own: to import scikit-learn takes one or two."""
    with contextlib.suppress(Exception):  # The gates will say it.
        loader_of(Repository(Path(request.settings["models"])).manifest(request.name, request.version).format)


def _check_revision(bundle: Bundle, contract: Contract) -> None:
    found = broken(bundle.contract, contract, bundle.name)
    if found:
        lines = "; ".join(finding.sentence for finding in found[:_MOST_FINDINGS])
        more = f" (and {len(found) - _MOST_FINDINGS} more)" if len(found) > _MOST_FINDINGS else ""
        raise ModelMismatch(
            f"{bundle.place} was made for another revision of the contract, whose callers this one breaks: {lines}{more}; "
            "serve the change as a new package beside the old one, or add the model again for the contract as it is"
        )


def run(request: Request, told: socket.socket, lifeline: socket.socket) -> None:
    """Be the candidate, in a process that was forked for it."""
    end_with(lifeline)
    warnings.filterwarnings("ignore", message="X does not have valid feature names")

    def tell(facts: dict[str, Any]) -> None:
        told.sendall(json.dumps(facts).encode() + b"\n")

    with contextlib.suppress(ConnectionError):  # Nobody waits for it any more.
        tell({"pid": os.getpid()})
        try:
            settings = ServerSettings.model_validate(request.settings)
            costs = examine(request, settings, load(settings.protos), tell)
        except ModelError as error:
            tell({"refused": str(error), "gate": error.gate})
        except SetupError as error:
            tell({"refused": str(error), "gate": Gate.CONTRACT})
        except BaseException as error:  # A model may raise anything, SystemExit too.
            tell({"refused": f"{type(error).__name__}: {str(error)[:200]}", "gate": ""})
        else:
            tell({"costs": [[cost.one_row, cost.batch] for cost in costs]})
