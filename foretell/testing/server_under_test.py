"""A server for the repository at hand, for as long as it is tested."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from foretell.serve.process_layout import Role
from foretell.serve.supervised_process import ProcessEnded, SupervisedProcess
from foretell_contract.errors import SetupError

_ANY_PORT = "127.0.0.1:0"

_PATIENCE = 20.0
"""Seconds until a server that was told to stop is killed."""


@dataclass(frozen=True, slots=True)
class Started:
    """Where the server is."""

    grpc: str
    rest: str
    log: Path
    """What it logs: the trace of a failure stands there, under the incident that the caller is told."""


@contextmanager
def serving(protos: Path, models: Path) -> Iterator[Started]:
    """Both doors in a process of its own: gRPC on a Unix socket, which no setting encrypts, REST on a free port.

    Raises SetupError for what cannot be served.
    """
    with tempfile.TemporaryDirectory(prefix="foretell-test-") as folder, asyncio.Runner() as runner:
        socket, log = Path(folder) / "grpc.sock", Path(folder) / "log"
        told = {"protos": str(protos), "models": str(models), "grpc_socket": str(socket)}
        role = Role(
            "the server", "foretell.serve.server_and_bridge", told | dict.fromkeys(("grpc_address", "http_address"), _ANY_PORT)
        )
        with log.open("w") as errors:
            child = runner.run(SupervisedProcess.start(role, os.environ, errors))
        try:
            facts = runner.run(child.ready())
            yield Started(f"unix:{socket}", f"http://{facts['http_address']}", log)
        except ProcessEnded as ended:
            raise SetupError(str(ended)) from None
        finally:
            runner.run(child.stop(_PATIENCE))
