"""A supervised process: started, heard, stopped."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Mapping
from typing import IO, Any

from foretell.serve.process_layout import Role
from foretell_lifecycle.process import SUPERVISOR_FD

logger = logging.getLogger(__name__)

_UNREADY_SECONDS = 1.0
"""Longest time in which a process that is not ready ends by itself when told to: a model that it loads may hang."""


class ProcessEnded(Exception):
    """The process ended before it was ready; the text says why, as far as it told."""


class SupervisedProcess:
    """One run of a role, in a session of its own so that Ctrl-C reaches only the supervisor.

    The process holds one end of a socket: it announces itself there, and stops when the other end closes, so it cannot outlive the
    supervisor however that dies.
    """

    def __init__(self, role: Role, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self._role = role
        self._process = process
        self._line = line
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._announced = False

    @classmethod
    async def start(cls, role: Role, environment: Mapping[str, str], log: IO[str] | None = None) -> "SupervisedProcess":
        """Start `role` with its settings over `environment`; its log goes to a file, or to where ours goes."""
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            told = {f"FORETELL_{name.upper()}": value for name, value in role.settings.items()}
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                role.module,
                env={**environment, **told, SUPERVISOR_FD: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stderr=log,
            )
        return cls(role, process, ours)

    async def ready(self) -> dict[str, Any]:
        """What the process announces. Raises ChildEnded."""
        reader, self._writer = await asyncio.open_connection(sock=self._line)  # Kept: once collected, it would close.
        self._reader = reader
        facts = await self._heard(reader, None)
        while "late" in facts:  # What it is about to do may keep it from saying so itself.
            try:
                facts = await self._heard(reader, facts["seconds"])
            except TimeoutError:
                self._process.kill()
                await self.ended()
                raise ProcessEnded(facts["late"]) from None
        if not facts or "refused" in facts:
            code = await self.ended()
            raise ProcessEnded(facts.get("refused", f"{self._role.name} ended with code {code} while it started"))
        self._announced = True
        return facts

    async def _heard(self, reader: asyncio.StreamReader, seconds: float | None) -> dict[str, Any]:
        """The next line; nothing once none can come. Raises TimeoutError."""
        line = await asyncio.wait_for(reader.readline(), seconds)
        facts: dict[str, Any] = json.loads(line or b"{}")
        return facts

    async def ended(self) -> int:
        """Wait for the end; the exit code."""
        return await self._process.wait()

    async def watched(self, seconds: float) -> int:
        """Wait for the end; the exit code. Kills the process, once ready, when it gives no sign of life for `seconds`."""
        try:
            while await asyncio.wait_for(self._sign_of_life(), seconds):
                pass
        except TimeoutError:
            logger.error("%s has given no sign of life for %g s and is killed", self._role.name, seconds)
            self._process.kill()
        return await self.ended()

    async def _sign_of_life(self) -> bool:
        """Wait for one; false where none can come any more."""
        with contextlib.suppress(OSError):  # The process is gone.
            return self._reader is not None and bool(await self._reader.readline())
        return False

    async def stop(self, seconds: float) -> None:
        """Ask for a drain; kill after `seconds`, or soon where it has nothing to drain."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), seconds if self._announced else _UNREADY_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self.ended()
        await self._hang_up()

    async def _hang_up(self) -> None:
        if self._writer is None:
            self._line.close()
            return
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
