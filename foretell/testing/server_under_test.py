"""Starts a server for the contracts and models of this repository, and stops it after the tests."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foretell.serve.process_layout import Role
from foretell.serve.supervised_process import ProcessEnded, SupervisedProcess
from foretell_contract.errors import SetupError

_STOP_SECONDS = 20.0
"""Time until a server that was told to stop is killed."""


@contextmanager
def start_server(protos: Path, models: Path) -> Iterator[tuple[str, str, Path]]:
    """A server and bridge in one process: gRPC on a Unix socket, which no setting encrypts, REST on a free port.

    Yields both addresses, and the log file, which holds the traceback of each internal error. The process ends with the `with`
    block. Raises SetupError if the contracts or models cannot be served.
    """
    with tempfile.TemporaryDirectory(prefix="foretell-test-") as folder, asyncio.Runner() as runner:
        socket, log = Path(folder) / "grpc.sock", Path(folder) / "log"
        settings = {"protos": str(protos), "models": str(models), "grpc_socket": str(socket)}
        settings |= dict.fromkeys(("grpc_address", "http_address"), "127.0.0.1:0")
        role = Role("the server", "foretell.serve.server_and_bridge", settings)
        with log.open("w") as errors:
            process = runner.run(SupervisedProcess.start(role, os.environ, errors))
        try:
            facts = runner.run(process.ready())
            yield f"unix:{socket}", f"http://{facts['http_address']}", log
        except ProcessEnded as ended:
            raise SetupError(str(ended)) from None
        finally:
            runner.run(process.stop(_STOP_SECONDS))
