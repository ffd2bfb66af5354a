"""A version in a process of its own, held against the gates: `python -m grpc_server.candidate`, as grpc_server/trial.py starts it.

Whatever it does there, what is served does not feel it. One line of JSON tells of each gate that it comes to, and the last one what
came out.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import warnings
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
from lifecycle.process import log_to_stderr

_MOST_FINDINGS = 3

_NICE = 10
"""A tenth of the time of a process that serves, if both want it; what it waits for a core, its gates do not count."""


def examine(name: str, version: str, settings: ServerSettings, contract: Contract, tell: Any, *, returns: bool) -> list[Cost]:
    """What a run costs, for each service that the version answers. Raises ModelError.

    One that `returns` is not held against the contract that it was made for: nobody gets worse than before.
    """
    _import_runtime(name, version, settings)
    gates = Gates(f"model {name!r} version {version}", lambda gate: tell({"gate": gate}))
    with gates(Gate.DIGEST):
        bundle = Repository(settings.models).read(name, version)
    if bundle.contract and not returns:
        with gates(Gate.REVISION):
            _check_revision(bundle, contract)
    services = [service for service in contract.services if service.model == name]
    return [try_model(bundle, contract, service, settings, gates) for service in services]


def _import_runtime(name: str, version: str, settings: ServerSettings) -> None:
    """Before the gates, whose seconds are the version's own: to import scikit-learn takes one or two."""
    with contextlib.suppress(Exception):  # The gates will say it.
        loader_of(Repository(settings.models).manifest(name, version).format)


def _check_revision(bundle: Bundle, contract: Contract) -> None:
    found = broken(bundle.contract, contract, bundle.name)
    if found:
        lines = "; ".join(finding.sentence for finding in found[:_MOST_FINDINGS])
        more = f" (and {len(found) - _MOST_FINDINGS} more)" if len(found) > _MOST_FINDINGS else ""
        raise ModelMismatch(
            f"{bundle.place} was made for another revision of the contract, whose callers this one breaks: {lines}{more}; "
            "serve the change as a new package beside the old one, or add the model again for the contract as it is"
        )


def main(name: str, version: str, settings: str, returns: str, line: str, lifeline: str) -> None:
    """Run the process; `line` and `lifeline` are file descriptors of sockets, `settings` is JSON."""
    with socket.socket(fileno=int(lifeline)) as alive, socket.socket(fileno=int(line)) as told:
        for inherited in (alive, told):
            inherited.set_inheritable(False)  # What a model starts must not hold them open.
        end_with(alive)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # Meant for the server, which ends this process.
        os.nice(_NICE)
        log_to_stderr()
        warnings.filterwarnings("ignore", message="X does not have valid feature names")

        def tell(facts: dict[str, Any]) -> None:
            told.sendall(json.dumps(facts).encode() + b"\n")

        with contextlib.suppress(ConnectionError):  # Nobody waits for it any more.
            try:
                chosen = ServerSettings.model_validate_json(settings)
                costs = examine(name, version, chosen, load(chosen.protos), tell, returns=returns == "1")
            except ModelError as error:
                tell({"refused": str(error), "gate": error.gate})
            except SetupError as error:
                tell({"refused": str(error), "gate": Gate.CONTRACT})
            except BaseException as error:  # A model may raise anything, SystemExit too.
                tell({"refused": f"{type(error).__name__}: {str(error)[:200]}", "gate": ""})
            else:
                tell({"costs": [[cost.one_row, cost.batch] for cost in costs]})


if __name__ == "__main__":
    main(*sys.argv[1:])
