"""`python -m foretell.mlflow.add_process`: adds what was fetched from a registry, in a process of its own.

Loading a model may run code, take long, or end the process; the one that follows the registry must outlive it.
"""

import json
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from foretell.mlflow.model_source import unpacked
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import kill_when_closed
from foretell_lifecycle.process import log_to_stderr
from grpc_server.errors import ModelError, Unwritable, exception_text
from grpc_server.store.manifest import RegistrySource

_SECONDS = 600.0
"""Longest time that a model may take to be added."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is to be added."""

    folder: str
    """As MLflow saves a model."""
    name: str
    source: dict[str, str]
    protos: str
    models: str
    allow_version_skew: bool


def adopt(adoption: Adoption) -> str:
    """The version that it became. Raises ModelError where it cannot be one, or Unwritable."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "foretell.mlflow.add_process", json.dumps(asdict(adoption)), str(theirs.fileno())]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                process_group=0,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ModelError(f"adding it took longer than {_SECONDS:g} s") from None
    facts = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else {}
    if "version" in facts:
        return str(facts["version"])
    if not facts:
        code = done.returncode
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        raise ModelError(f"the process that was to add it ended {how}")
    raise (Unwritable if facts["unwritable"] else ModelError)(facts["refused"])


def main(adoption: Adoption) -> dict[str, object]:
    """What came out, for the process that waits for it."""
    from grpc_server.checks.add_model import add_model
    from grpc_server.store.repository import Repository

    try:
        contract = load(Path(adoption.protos))
        with unpacked(Path(adoption.folder)) as found:
            added = add_model(
                Repository(Path(adoption.models)),
                found.file,
                adoption.name,
                tuple(found.columns),
                outputs=found.outputs,
                contract=contract,
                allow_version_skew=adoption.allow_version_skew,
                source=RegistrySource(**adoption.source),
            )
    except SetupError as error:
        return {"refused": str(error), "unwritable": isinstance(error, Unwritable)}
    except Exception as error:  # A model may raise anything.
        return {"refused": exception_text(error), "unwritable": False}
    return {"version": added.version}


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as lifeline:
        lifeline.set_inheritable(False)
        kill_when_closed(lifeline)
        log_to_stderr()
        facts = main(Adoption(**json.loads(sys.argv[1])))
        print(f"\n{json.dumps(facts)}", flush=True)  # noqa: T201  # On a line of its own, whatever the model has printed.
