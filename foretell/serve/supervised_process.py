"""One process of the supervisor: its start, its messages and heartbeats, its stop."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from foretell.serve.process_layout import Role
from foretell_lifecycle.process import SUPERVISOR_FD

logger = logging.getLogger(__name__)

_UNREADY_SECONDS = 1.0
"""Longest time for which a process that is not ready may take to stop: a model that it loads may hang."""


class ProcessEnded(Exception):
    """The process ended before it was ready; the text is the reason that it gave, or its exit code."""


@dataclass(eq=False)
class SupervisedProcess:
    """One run of a role, in a session of its own so that Ctrl-C reaches only the supervisor. Use it on one event loop.

    The process sends messages over a socket and stops when the supervisor's end closes, so it never outlives the supervisor.
    """

    _role: Role
    _process: asyncio.subprocess.Process
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    """Stored, because a collected writer closes the socket."""
    _announced: bool = False

    @classmethod
    async def start(cls, role: Role, environment: Mapping[str, str], log: IO[str] | None = None) -> "SupervisedProcess":
        """Start `role` with its settings over `environment`; stderr goes to `log`, or to this process's stderr."""
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            settings = {f"FORETELL_{name.upper()}": value for name, value in role.settings.items()}
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                role.module,
                env={**environment, **settings, SUPERVISOR_FD: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stderr=log,
            )
        return cls(role, process, reader, writer)

    async def ready(self) -> dict[str, Any]:
        """Wait until the process is ready; the facts that it announces. Raises ProcessEnded."""
        facts = await self._receive(None)
        while "late" in facts:  # A start deadline: a hanging model may keep the process from reporting it.
            try:
                facts = await self._receive(facts["seconds"])
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
                raise ProcessEnded(facts["late"]) from None
        if not facts or "refused" in facts:
            code = await self._process.wait()
            raise ProcessEnded(facts.get("refused", f"{self._role.name} ended with code {code} while it started"))
        self._announced = True
        return facts

    async def _receive(self, seconds: float | None) -> dict[str, Any]:
        """The next message; empty at the end of the stream. Raises TimeoutError."""
        line = await asyncio.wait_for(self._reader.readline(), seconds)
        facts: dict[str, Any] = json.loads(line or b"{}")
        return facts

    async def wait_or_kill(self, seconds: float) -> int:
        """Wait for the end of a ready process; the exit code. Kills it if it sends no heartbeat for `seconds`."""
        try:
            while await asyncio.wait_for(self._reader.readline(), seconds):
                pass
        except TimeoutError:
            logger.error("%s has sent no heartbeat for %g s; killing it", self._role.name, seconds)
            self._process.kill()
        except OSError:  # The process has ended.
            pass
        return await self._process.wait()

    async def stop(self, seconds: float) -> None:
        """Drain and stop it; kill it after `seconds`, or after _UNREADY_SECONDS if it never got ready."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), seconds if self._announced else _UNREADY_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
