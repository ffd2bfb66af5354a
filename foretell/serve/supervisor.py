"""The process above the others: it starts them, starts again what ends, and stops them in order."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from typing import Any

from foretell.serve.banner import banner
from foretell.serve.process_layout import Role
from foretell.serve.supervised_process import ProcessEnded, SupervisedProcess
from foretell_contract.errors import SetupError

logger = logging.getLogger(__name__)

_DELAYS = (0.1, 0.5, 2.0, 5.0)
"""Seconds before a process that ended is started again, by how often it has failed to become ready since; then the last."""


_ADDRESSES = ("grpc_address", "http_address", "control", "control_http")
"""Facts that are settings too."""


class Supervisor:
    """Runs the processes of one `foretell serve`. Use it once."""

    def __init__(self, tiers: Sequence[Sequence[Role]], environment: dict[str, str], hang: float, patience: float) -> None:
        """`tiers` stop one after the other, with `patience` seconds each; `hang` seconds without a sign of life are too many."""
        self._tiers = tiers
        self._roles = [role for tier in tiers for role in tier]
        self._environment = environment
        self._hang = hang
        self._patience = patience
        self._children: dict[str, SupervisedProcess] = {}

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises SetupError where a process cannot start."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        stopped = asyncio.create_task(stop.wait())
        started = asyncio.create_task(self._start_all())
        keepers: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                started.cancel()
                await asyncio.gather(started, return_exceptions=True)
                return
            self._ready(started.result())
            keepers = [asyncio.create_task(self._keep(role)) for role in self._roles]
            await asyncio.wait((stopped, *keepers), return_when=asyncio.FIRST_COMPLETED)
            logger.info("stopping: finishing what was accepted")
        except ProcessEnded as ended:
            raise SetupError(str(ended)) from None
        finally:
            for task in (stopped, *keepers):
                task.cancel()
            await self._stop()

    def _ready(self, announced: Sequence[dict[str, Any]]) -> None:
        """All answer: say so, and have what is started again take the same ports."""
        facts: dict[str, Any] = {}
        for part in announced:
            facts |= part
        self._environment |= {f"FORETELL_{name.upper()}": facts[name] for name in _ADDRESSES if facts.get(name)}
        print(banner(facts), flush=True)

    async def _stop(self) -> None:
        for tier in self._tiers:
            children = [self._children[role.name] for role in tier if role.name in self._children]
            await asyncio.gather(*(child.stop(self._patience) for child in children))

    async def _start_all(self) -> list[dict[str, Any]]:
        announced = [await self._start(role) for role in self._roles if role.first]
        return announced + await asyncio.gather(*(self._start(role) for role in self._roles if not role.first))

    async def _start(self, role: Role) -> dict[str, Any]:
        child = self._children[role.name] = await SupervisedProcess.start(role, self._environment)
        return await child.ready()

    async def _keep(self, role: Role) -> None:
        """Start a process again whenever it ends."""
        failures = 0
        while True:
            code = await self._children[role.name].watched(self._hang)
            logger.error("%s ended with code %d; starting it again", role.name, code)
            await asyncio.sleep(_DELAYS[min(failures, len(_DELAYS) - 1)])
            try:
                await self._start(role)
                logger.info("%s is ready again", role.name)
                failures = 0
            except (ProcessEnded, OSError) as error:
                logger.error("%s", error)
                failures += 1
