"""The supervisor: starts the processes of `foretell serve`, restarts those that end, and stops them in order."""

import asyncio
import logging
import shlex
import signal
from collections.abc import Sequence
from typing import Any

from foretell.serve.process_layout import Role
from foretell.serve.supervised_process import ProcessEnded, SupervisedProcess
from foretell_contract.errors import SetupError

logger = logging.getLogger(__name__)

_DELAYS = (0.1, 0.5, 2.0, 5.0)
"""Seconds before a restart, by the number of failed starts since the process was ready; then the last."""

_SHOWN_BODY = 1_000
"""Characters of the longest body of a call to paste; the docs have the others."""

_ADDRESSES = ("grpc_address", "http_address", "control", "control_http")
"""Announced facts that are settings too."""


class Supervisor:
    """Runs the processes of one `foretell serve`. Use it once."""

    def __init__(
        self, tiers: Sequence[Sequence[Role]], environment: dict[str, str], hang_seconds: float, stop_seconds: float
    ) -> None:
        """Kills a process without heartbeat for `hang_seconds`; stops one tier after another, each within `stop_seconds`."""
        self._tiers = tiers
        self._roles = [role for tier in tiers for role in tier]
        self._environment = environment
        self._hang_seconds = hang_seconds
        self._stop_seconds = stop_seconds
        self._processes: dict[str, SupervisedProcess] = {}

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises SetupError if a process cannot start."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        stopped = asyncio.create_task(stop.wait())
        started = asyncio.create_task(self._start_all())
        restarters: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                started.cancel()
                await asyncio.gather(started, return_exceptions=True)
                return
            self._ready(started.result())
            restarters = [asyncio.create_task(self._restart_when_ended(role)) for role in self._roles]
            await asyncio.wait((stopped, *restarters), return_when=asyncio.FIRST_COMPLETED)
            logger.info("stopping: finishing accepted calls")
        except ProcessEnded as ended:
            raise SetupError(str(ended)) from None
        finally:
            for task in (stopped, *restarters):
                task.cancel()
            await self._stop()

    def _ready(self, announced: Sequence[dict[str, Any]]) -> None:
        """Print the banner; restarted processes shall take the announced ports."""
        facts: dict[str, Any] = {}
        for part in announced:
            facts |= part
        self._environment |= {f"FORETELL_{name.upper()}": facts[name] for name in _ADDRESSES if facts.get(name)}
        print(banner(facts), flush=True)

    async def _stop(self) -> None:
        for tier in self._tiers:
            stopping = [self._processes[role.name] for role in tier if role.name in self._processes]
            await asyncio.gather(*(process.stop(self._stop_seconds) for process in stopping))

    async def _start_all(self) -> list[dict[str, Any]]:
        announced = [await self._start(role) for role in self._roles if role.starts_first]
        return announced + await asyncio.gather(*(self._start(role) for role in self._roles if not role.starts_first))

    async def _start(self, role: Role) -> dict[str, Any]:
        process = self._processes[role.name] = await SupervisedProcess.start(role, self._environment)
        return await process.ready()

    async def _restart_when_ended(self, role: Role) -> None:
        failures = 0
        while True:
            code = await self._processes[role.name].wait_or_kill(self._hang_seconds)
            logger.error("%s ended with code %d; restarting it", role.name, code)
            await asyncio.sleep(_DELAYS[min(failures, len(_DELAYS) - 1)])
            try:
                await self._start(role)
                logger.info("%s is ready again", role.name)
                failures = 0
            except (ProcessEnded, OSError) as error:
                logger.error("%s", error)
                failures += 1


def banner(facts: dict[str, Any]) -> str:
    """The text of a ready server: addresses, models and calls to paste, from the facts that the processes announced."""
    grpc, rest = facts["grpc_address"], f"http://{facts['http_address']}"
    entries = [("gRPC", grpc), ("REST", rest), ("docs", f"{rest}/docs")]
    if facts["control"]:
        entries.append(("control", facts["control"]))
    if facts.get("control_url"):
        entries.append(("control", f"{facts['control_url']}/docs"))
    entries += [("model", model) for model in facts["models"]]
    entries += [("follow", followed) for followed in facts.get("follows", ())]
    width = max(6, *(len(label) for label, _ in entries))
    lines = ["Foretell is ready.", "", *(f"  {label:<{width}} {text}" for label, text in entries)]
    calls = [call for call in facts["examples"] if call["model"] not in facts["missing"] and len(call["body"]) <= _SHOWN_BODY]
    if calls:
        lines += ["", "Try it:", ""]
        lines += [
            f"  curl {rest}{call['path']} -H 'content-type: application/json' -d {shlex.quote(call['body'])}" for call in calls
        ]
        # A server's own certificate is enough for grpcurl to trust it, whoever issued it.
        security = f"-cacert {shlex.quote(facts['certificate'])}" if facts["certificate"] else "-plaintext"
        lines += [f"  grpcurl {security} -d {shlex.quote(calls[0]['body'])} {grpc} {calls[0]['method']}"]
    if facts["note"]:
        lines += ["", facts["note"]]
    return "\n".join([*lines, "", "Ctrl-C stops it."])
