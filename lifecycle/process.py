"""The frame around a process: start or refuse in one line, announce, stop when told."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop
from pydantic import ValidationError

from contract.errors import SetupError
from lifecycle.settings import settings_error

logger = logging.getLogger(__name__)

REFUSED = 2
"""Exit code of a process that could not start."""


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run an asyncio process to its end. What it cannot start with is said in one line on stderr, with exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # Its start and stop are said by us.
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except SetupError as error:
        refuse(error)
    except ValidationError as error:
        refuse(settings_error(error))


def refuse(error: SetupError) -> None:
    """Say on stderr, in one line, why the process does not start; exit."""
    print(f"foretell: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    raise SystemExit(REFUSED)


class Supervisor:
    """The supervisor's end of a process, or the terminal where there is no supervisor."""

    def __init__(self, descriptor: int | None) -> None:
        self._socket = None if descriptor is None else socket.socket(fileno=descriptor)

    def announce(self, facts: dict[str, Any], text: str) -> None:
        """Tell the supervisor `facts`, or print `text`: the process is ready."""
        if self._socket is None:
            print(text, flush=True)
        else:
            self._socket.sendall(json.dumps(facts).encode() + b"\n")

    async def told_to_stop(self) -> None:
        """Return on SIGTERM or SIGINT, and when the supervisor is gone."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if self._socket is not None:
            self._socket.setblocking(False)
            loop.add_reader(self._socket, stop.set)  # It never writes: readable means closed.
        await stop.wait()
        if self._socket is not None:
            loop.remove_reader(self._socket)
        logger.info("stopping: finishing what was accepted (pid %d)", os.getpid())
