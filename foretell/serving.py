"""`foretell serve`: a gRPC server and a REST bridge as two supervised processes, joined by a Unix socket."""

import asyncio
import logging
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contract.errors import SetupError
from contract.suggestion import did_you_mean
from foretell.banner import banner
from foretell.child import Child, ChildEnded
from foretell.settings import ServeSettings
from lifecycle.process import log_to_stderr
from lifecycle.settings import settings_error

logger = logging.getLogger(__name__)

SERVER, BRIDGE = "grpc_server", "rest_bridge"

_DELAYS = (0.1, 0.5, 2.0, 5.0)
"""Seconds before a process that ended is started again, by how often it has failed to become ready since; then the last."""

_BEYOND_DRAIN = 5.0

_LONGEST_SOCKET = 107
"""Bytes that Linux has for the path of a socket."""


def serve(flags: dict[str, str]) -> None:
    """Serve until told to stop. Raises SetupError for what cannot be served."""
    log_to_stderr()
    _refuse_unknown_variables()
    try:
        settings = ServeSettings(**flags)  # type: ignore[arg-type]  # pydantic turns text into each field's type
    except ValidationError as error:
        raise settings_error(error) from None
    with tempfile.TemporaryDirectory(prefix="foretell-") as folder:
        socket = Path(folder) / "grpc.sock"
        if len(os.fsencode(socket)) > _LONGEST_SOCKET:
            raise SetupError(f"{socket} is too long a path for a Unix socket: set TMPDIR to a shorter one")
        supervisor = _Supervisor(flags | {"grpc_socket": str(socket), "target": f"unix:{socket}"}, settings.drain_seconds)
        asyncio.run(supervisor.run())


def _refuse_unknown_variables() -> None:
    """A misspelt variable would be a setting that silently is not made."""
    known = {f"FORETELL_{name.upper()}" for name in ServeSettings.model_fields} | {"FORETELL_CONFIG"}
    for name in os.environ:
        if name.startswith("FORETELL_") and name not in known:
            hint = did_you_mean(name.removeprefix("FORETELL_").lower(), ServeSettings.model_fields)
            raise SetupError(f"the variable {name} is no setting{hint}")


class _Supervisor:
    def __init__(self, settings: dict[str, str], drain_seconds: float) -> None:
        self._settings = settings
        self._patience = drain_seconds + _BEYOND_DRAIN
        self._children: dict[str, Child] = {}

    async def run(self) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        keepers: list[asyncio.Task[None]] = []
        stopped = asyncio.create_task(stop.wait())
        try:
            started = asyncio.gather(self._start(SERVER), self._start(BRIDGE))
            await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                started.cancel()
                await asyncio.gather(started, return_exceptions=True)
                return
            server, bridge = started.result()
            self._settings |= {"grpc_address": server["address"], "http_address": bridge["address"]}
            print(banner(server, bridge), flush=True)
            keepers = [asyncio.create_task(self._keep(module)) for module in (SERVER, BRIDGE)]
            await asyncio.wait((stopped, *keepers), return_when=asyncio.FIRST_COMPLETED)
            logger.info("stopping: finishing what was accepted")
        except ChildEnded as ended:
            raise SetupError(str(ended)) from None
        finally:
            stopped.cancel()
            for keeper in keepers:
                keeper.cancel()
            for module in (BRIDGE, SERVER):  # The bridge first: its last requests still need the server.
                if module in self._children:
                    await self._children[module].stop(self._patience)

    async def _start(self, module: str) -> dict[str, Any]:
        self._children[module] = await Child.start(module, self._settings)
        return await self._children[module].ready()

    async def _keep(self, module: str) -> None:
        """Start a process again whenever it ends."""
        failures = 0
        while True:
            code = await self._children[module].ended()
            logger.error("%s ended with code %d; starting it again", module, code)
            await asyncio.sleep(_DELAYS[min(failures, len(_DELAYS) - 1)])
            try:
                await self._start(module)
                logger.info("%s is ready again", module)
                failures = 0
            except (ChildEnded, OSError) as error:
                logger.error("%s", error)
                failures += 1
