"""`python -m foretell.mlflow.add_process`: adds a model fetched from a registry to the repository, in a process of its own.

Loading a model can run code, take long or crash; the process that follows the registry must survive that.
"""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

from foretell.mlflow.model_source import unpack_folder
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import kill_when_closed
from foretell_lifecycle.process import log_to_stderr
from grpc_server.errors import ModelError, Unwritable, exception_text
from grpc_server.settings import ServerSettings
from grpc_server.store.manifest import RegistrySource

_SECONDS = 600.0


def add_in_process(name: str, folder: Path, source: RegistrySource, settings: ServerSettings) -> str:
    """Adds the model in a folder that MLflow saved, and returns its version, within ten minutes.

    Raises ModelError for a refused model, or Unwritable.
    """
    arguments = name, str(folder), source.model_dump(), str(settings.protos), str(settings.models), settings.allow_version_skew
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "foretell.mlflow.add_process", json.dumps(arguments), str(theirs.fileno())]
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
        raise ModelError(f"the process that added it ended {how}")
    raise (Unwritable if facts["unwritable"] else ModelError)(facts["refused"])


def main(name: str, folder: str, source: dict[str, str], protos: str, models: str, skew: bool) -> dict[str, object]:
    """The result for the parent process, as JSON: `version`, or `refused` and `unwritable`."""
    from grpc_server.checks.add_model import add_model
    from grpc_server.store.repository import Repository

    try:
        contract = load(Path(protos))
        with unpack_folder(Path(folder)) as found:
            added = add_model(
                Repository(Path(models)),
                found.file,
                name,
                tuple(found.columns),
                outputs=found.outputs,
                dtypes=found.columns,
                contract=contract,
                allow_version_skew=skew,
                source=RegistrySource(**source),
                code=found.code,
                to_production=False,  # The alias decides.
            )
    except SetupError as error:
        return {"refused": str(error), "unwritable": isinstance(error, Unwritable)}
    except Exception as error:  # Loading a model can raise anything.
        return {"refused": exception_text(error), "unwritable": False}
    return {"version": added.version}


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as lifeline:
        lifeline.set_inheritable(False)
        kill_when_closed(lifeline)
        log_to_stderr()
        facts = main(*json.loads(sys.argv[1]))
        print(f"\n{json.dumps(facts)}", flush=True)  # noqa: T201  # A model may print an unfinished line.
