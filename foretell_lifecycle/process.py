"""The life of a process that serves: it starts or refuses in one line, announces that it is ready, and stops on a signal."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import uvloop
from pydantic import ValidationError

from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import kill_when_closed
from foretell_lifecycle.settings import settings_error

logger = logging.getLogger(__name__)

REFUSED = 2

SUPERVISOR_FD = "FORETELL_SUPERVISOR_FD"
"""Environment variable with the socket to the supervisor that started this process."""

HEARTBEAT_SECONDS = 1.0
"""Seconds between the heartbeats of a ready process to its supervisor."""


def run(main: Callable[["Launcher"], Coroutine[Any, Any, None]]) -> None:
    """Run `main` on an event loop to its end. If it cannot start, report why in one line and exit with code 2."""
    log_to_stderr()
    descriptor = os.environ.pop(SUPERVISOR_FD, None)
    launcher = Launcher(None if descriptor is None else socket.socket(fileno=int(descriptor)))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_watch_and_run(launcher, main))
    except SetupError as error:
        launcher.refuse(error)
    except ValidationError as error:
        launcher.refuse(settings_error(error))
    except Exception as error:
        if launcher.announced:
            raise
        incident = secrets.token_hex(6)
        logger.exception("incident %s while starting", incident)
        launcher.refuse(SetupError(f"{type(error).__name__} while starting; the log has the trace under incident {incident}"))


def log_to_stderr() -> None:
    """Log one line an event to stderr, without uvicorn's own starts and stops and its warnings about malformed requests."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # gRPC logs a trace for metadata that is not UTF-8: a caller could have it log megabytes a second.
    logging.getLogger("grpc._cython.cygrpc").addFilter(lambda record: not str(record.msg).startswith("Invalid encoding"))


def refuse(text: str) -> NoReturn:
    """Print one line to stderr and exit with code 2."""
    print(f"foretell: {' '.join(text.split())}", file=sys.stderr, flush=True)
    raise SystemExit(REFUSED)


class Launcher:
    """The supervisor or the terminal that started this process, and its signals to stop. Use it on one event loop."""

    def __init__(self, line: socket.socket | None) -> None:
        """`line` leads to the supervisor; None for a terminal."""
        self._line = line
        self._stop = asyncio.Event()
        self._outlive: Callable[[], None] = lambda: None
        self.announced = False

    def watch_for_stop(self) -> None:
        """Notice SIGTERM, SIGINT and the end of the supervisor, from now on; before `announce`, the latter kills this process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        line = self._line
        if line is None:
            return

        def supervisor_ended() -> None:
            loop.remove_reader(line)
            self._stop.set()

        self._outlive = kill_when_closed(line)  # The loop is blocked while a model hangs that is being loaded.
        loop.add_reader(line, supervisor_ended)  # It never writes: readable means closed.

    def set_start_deadline(self, error: SetupError | None, seconds: float | None) -> None:
        """Have the supervisor end this process with `error` unless it gets another message within `seconds`; None for no limit."""
        self._send(json.dumps({"late": str(error), "seconds": seconds}))

    async def wait_if_supervised(self, ready: Coroutine[Any, Any, None]) -> None:
        """Wait for `ready` or a signal to stop; at a terminal, return at once. Raises what `ready` raises."""
        if self._line is None:
            ready.close()
            return
        waiting: tuple[asyncio.Task[Any], ...] = asyncio.create_task(ready), asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        for task in done:
            task.result()

    def announce(self, facts: dict[str, Any], text: str) -> None:
        """Report that this process is ready: `facts` to the supervisor, or `text` on the terminal."""
        self.announced = True
        if self._line is None:
            print(text, flush=True)
        else:
            self._outlive()  # From now on it drains when the supervisor ends.
            self._send(json.dumps(facts))

    def refuse(self, error: SetupError) -> NoReturn:
        """Report why this process cannot start, and exit."""
        if self._line is None:
            refuse(str(error))
        self._send(json.dumps({"refused": str(error)}))
        raise SystemExit(REFUSED)

    async def wait_for_stop(self, check: Callable[[], None] = lambda: None) -> None:
        """Return after SIGTERM, SIGINT or the end of the supervisor.

        Meanwhile sends heartbeats to the supervisor, each after a call of `check`, which must not return while the process hangs.
        """
        while not self._stop.is_set():
            check()
            self._send("", socket.MSG_DONTWAIT)  # A heartbeat; a supervisor that does not read it must not block this process.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), HEARTBEAT_SECONDS)
        if self._line is None:
            logger.info("stopping: finishing accepted calls")

    def _send(self, message: str, flags: int = 0) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):  # The supervisor has ended.
                self._line.sendall(f"{message}\n".encode(), flags)


async def _watch_and_run(launcher: Launcher, main: Callable[[Launcher], Coroutine[Any, Any, None]]) -> None:
    launcher.watch_for_stop()  # First: to the first process of a container, a signal without a handler is lost.
    await main(launcher)
