"""Processes that run models, as the server sees them: forked by multiprocessing's fork server, or spawned where there is none."""

import atexit
import contextlib
import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection
from typing import Any

from threadpoolctl import threadpool_limits

from foretell_lifecycle.platform import kill_when_closed
from foretell_lifecycle.process import log_to_stderr

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
"""Environment variables that limit the threads of OpenMP, the BLAS libraries and joblib."""

ONE_THREAD = dict.fromkeys(THREADS, "1")

_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_CONTEXT = multiprocessing.get_context("forkserver" if _FORKS else "spawn")

_LOCK = threading.RLock()
"""Held around multiprocessing's starts and polls: two threads that poll one process may read its exit code as 255."""

_RUNNING: set["ModelProcess"] = set()


class ModelProcess:
    """A process that runs `target(line, *arguments)`. The kernel kills it, and what it has started, when this process ends.

    `target` is a function of a module, `line` one end of a socket pair whose other end is the attribute `line`. One thread at a
    time may `wait` or `close`, any thread may `kill`.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any, threads: Mapping[str, str] = ONE_THREAD) -> None:
        """Start the process, with `threads` for the variables of THREADS. Raises OSError."""
        self.line, line = socket.socketpair()
        with line:
            try:
                self._process = _started(target, line, arguments, threads)
            except OSError:
                self.line.close()
                raise
        self.pid = self._process.pid or 0
        self._code: int | None = None
        _RUNNING.add(self)

    def wait(self, seconds: float | None = None) -> int:
        """The exit code, or the negative number of the signal that ended the process. Raises TimeoutError.

        What the process has started is then killed. If the fork server was killed, its processes end with code 255.
        """
        if self._code is None:
            if not connection.wait([self._process.sentinel], seconds):
                raise TimeoutError
            with _LOCK:
                self._code = self._process.exitcode
            self._kill_group()
        return self._code or 0

    def kill(self) -> None:
        """Kill the process and what it has started. Reads from the line end."""
        with contextlib.suppress(OSError):  # The other end may be gone.
            self.line.shutdown(socket.SHUT_RDWR)
        with _LOCK:
            if self._code is None:
                self._kill_group()
                self._process.kill()  # It may not lead its group yet.

    def close(self) -> None:
        """Kill the process if it still runs, and release its descriptors."""
        self.kill()
        self.wait()
        _RUNNING.discard(self)
        self.line.close()
        with _LOCK:
            self._process.close()

    def _kill_group(self) -> None:
        with contextlib.suppress(OSError):  # It has no members left. Until then, Linux gives its number to no other process.
            os.killpg(self.pid, signal.SIGKILL)


def _started(*arguments: Any) -> Any:
    """A started process of multiprocessing. Raises OSError."""
    try:
        return _start(*arguments)
    except (EOFError, ConnectionError):  # The fork server was killed; the next start brings up another.
        pass
    try:
        return _start(*arguments)
    except EOFError:
        raise ChildProcessError("the fork server ends when it starts") from None


def _start(*arguments: Any) -> Any:
    process: Any = _CONTEXT.Process(target=_main, args=arguments)  # type: ignore[attr-defined]
    with _LOCK, _without_main():
        process.start()
    return process


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hides from multiprocessing where the main module comes from: each child would import all of a server, or run a script."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)}
    vars(main).update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        vars(main).update(hidden)


@atexit.register
def _kill_all() -> None:
    """Runs before multiprocessing's own handler, registered by the imports above, which waits for each process that still runs."""
    for process in list(_RUNNING):
        process.kill()


def _main(target: Callable[..., None], line: socket.socket, arguments: Sequence[Any], threads: Mapping[str, str]) -> None:
    """The whole life of the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Meant for the server, which ends this process.
    os.setsid()  # The process leads the group that is killed with it.
    kill_when_closed(multiprocessing.parent_process().sentinel)  # type: ignore[union-attr]  # It was started by multiprocessing.
    _close_on_exec()
    os.dup2(2, 1)  # What a model prints is log; the server's stdout is for its banner.
    gc.freeze()  # Else a collection would copy the pages that are shared with the fork server.
    _limit_threads(threads)
    log_to_stderr()
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    target(line, *arguments)
    sys.stdout.flush()
    os._exit(0)  # Finalising the interpreter would take longer than the rest, or wait for a model's threads.


def _close_on_exec() -> None:
    """What a model starts must not hold open the line, or the pipe by which the fork server learns that it may end."""
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # The descriptor of the listing itself is closed by now.
            os.set_inheritable(int(name), int(name) <= 2)


def _limit_threads(threads: Mapping[str, str]) -> None:
    """By the environment for libraries that are imported later, by threadpoolctl for those that the fork server has imported."""
    os.environ.update(threads)
    count = threads[THREADS[0]].partition(",")[0]
    if count.isdecimal() and not (_FORKS and count == "1"):
        threadpool_limits(int(count))
