"""The frame around a process: start or refuse in one line, announce, stop when told."""

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
"""Exit code of a process that could not start."""

SUPERVISOR_FD = "FORETELL_SUPERVISOR_FD"
"""Environment variable with the socket to the supervisor that started this process."""

BEAT_SECONDS = 1.0
"""How often a process that is ready gives its supervisor a sign of life."""


def run(main: Callable[["Launcher"], Coroutine[Any, Any, None]]) -> None:
    """Run an asyncio process to its end. What it cannot start with is said in one line, with exit code 2."""
    log_to_stderr()
    descriptor = os.environ.pop(SUPERVISOR_FD, None)
    launcher = Launcher(None if descriptor is None else socket.socket(fileno=int(descriptor)))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_heeding(launcher, main))
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
    """One line an event. uvicorn's starts and stops are said by us; what strangers send it is no news."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Of metadata that is not UTF-8, gRPC logs a trace each: a caller could have megabytes a second written."""
    return not str(record.msg).startswith("Invalid encoding")


def refuse(text: str) -> NoReturn:
    """Say on stderr, in one line, why nothing starts; exit."""
    print(f"foretell: {' '.join(text.split())}", file=sys.stderr, flush=True)
    raise SystemExit(REFUSED)


class Launcher:
    """Who started this process: `foretell serve` at the other end of a socket, or a person at a terminal."""

    def __init__(self, line: socket.socket | None) -> None:
        self._line = line
        self._stop = asyncio.Event()
        self._outlive: Callable[[], None] = lambda: None
        self.announced = False

    def heed(self) -> None:
        """From now on, notice SIGTERM, SIGINT, and a supervisor that is gone; until this process is ready, it then is killed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._line is not None:
            self._outlive = kill_when_closed(self._line)  # The loop would not notice while a model hangs that is being loaded.
            loop.add_reader(self._line, self._gone, loop)  # It never writes: readable means closed.

    def _gone(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._line is not None:
            loop.remove_reader(self._line)
        self._stop.set()

    def entrust(self, error: SetupError, seconds: float) -> None:
        """Unless the supervisor, if any, hears more within so many seconds, it is to end this process and say `error`."""
        self._tell({"late": str(error), "seconds": seconds})

    def release(self) -> None:
        """The supervisor, if any, is to wait as long as it takes."""
        self._tell({"late": "", "seconds": None})

    def _tell(self, facts: dict[str, Any]) -> None:
        if self._line is not None:
            _send(self._line, facts)

    async def wait_if_supervised(self, ready: Coroutine[Any, Any, None]) -> None:
        """Hold the announcement back until `ready` is done, or the process told to stop; a person need not wait for it.

        Raises what `ready` raises.
        """
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
        """The process is ready: tell the supervisor `facts`, or a person `text`."""
        self.announced = True
        if self._line is None:
            print(text, flush=True)
        else:
            self._outlive()  # From now on there is something to drain.
            _send(self._line, facts)

    def refuse(self, error: SetupError) -> NoReturn:
        """The process cannot start: tell whoever started it, and exit."""
        if self._line is None:
            refuse(str(error))
        _send(self._line, {"refused": str(error)})
        raise SystemExit(REFUSED)

    async def told_to_stop(self, look: Callable[[], None] = lambda: None) -> None:
        """Return once the process was told to stop, by a signal or by a supervisor that is gone.

        Meanwhile the supervisor gets its signs of life, each after a call of `look`, which must not return while the process hangs.
        """
        while not self._stop.is_set():
            look()
            self._beat()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), BEAT_SECONDS)
        if self._line is None:
            logger.info("stopping: finishing what was accepted")

    def _beat(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):  # A supervisor that is gone or does not read must not hold up its processes.
                self._line.send(b"\n", socket.MSG_DONTWAIT)


async def _heeding(launcher: Launcher, main: Callable[[Launcher], Coroutine[Any, Any, None]]) -> None:
    launcher.heed()  # First: to the first process of a container, a signal that nobody handles is lost.
    await main(launcher)


def _send(line: socket.socket, facts: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # A supervisor that is gone needs no news.
        line.sendall(json.dumps(facts).encode() + b"\n")
