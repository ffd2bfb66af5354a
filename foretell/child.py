"""A supervised process: started, heard, stopped."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any

from lifecycle.process import SUPERVISOR_FD


class ChildEnded(Exception):
    """The process ended before it was ready; the text says why, as far as it told."""


class Child:
    """One run of `python -m MODULE`, in a session of its own so that Ctrl-C reaches only the supervisor.

    The process holds one end of a socket: it announces itself there, and stops when the other end closes, so it cannot outlive the
    supervisor however that dies.
    """

    def __init__(self, module: str, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self.module = module
        self._process = process
        self._line = line
        self._stream: asyncio.StreamWriter | None = None

    @classmethod
    async def start(cls, module: str, settings: dict[str, str]) -> "Child":
        """Start `python -m module` with `settings` over this process's environment."""
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            environment = os.environ | {f"FORETELL_{name.upper()}": value for name, value in settings.items()}
            environment[SUPERVISOR_FD] = str(theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, env=environment, pass_fds=[theirs.fileno()], start_new_session=True
            )
        return cls(module, process, ours)

    async def ready(self) -> dict[str, Any]:
        """What the process announces. Raises ChildEnded."""
        reader, self._stream = await asyncio.open_connection(sock=self._line)  # Kept: once collected, it would close.
        line = await reader.readline()
        facts: dict[str, Any] = json.loads(line or b"{}")
        if not facts or "refused" in facts:
            code = await self.ended()
            raise ChildEnded(facts.get("refused", f"{self.module} ended with code {code} while it started"))
        return facts

    async def ended(self) -> int:
        """Wait for the end; the exit code."""
        return await self._process.wait()

    async def stop(self, seconds: float) -> None:
        """Ask for a drain; kill after `seconds`."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), seconds)
        except TimeoutError:
            self._process.kill()
            await self.ended()
