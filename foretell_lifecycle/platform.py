"""Calls that only some operating systems have, each with a fallback: no other module of the product names one.

Linux has all of them. Nothing here raises because the system lacks a call; each function says what is lost then.
"""

import contextlib
import fcntl
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

BALANCES_SHARED_PORTS = sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")
"""Whether the kernel spreads the connections to a port over all sockets that listen on it, so that processes can share it."""

LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
"""Bytes that the kernel has for the path of a Unix socket."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def usable_cores() -> int:
    """Cores that this process may run on; without CPU affinity, all of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def lower_priority(nice: int = 19) -> None:
    """Let other processes run before this one, from now on. `nice` 19 is the lowest priority, 0 the usual one.

    On Linux the process also counts as batch work, which never interrupts another one, and if it leads a session, the whole session
    has this priority. There is no way back without privileges.
    """
    os.nice(max(0, nice - os.nice(0)))
    if nice and hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # A container may forbid it.
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(OSError):  # Linux may weigh whole sessions (sched_autogroup_enabled) instead of processes.
        Path("/proc/self/autogroup").write_text(str(nice))


def core_wait_seconds() -> float:
    """Seconds for which this thread was ready to run while no core was free, so far; only on Linux, else 0."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def name_process(name: str) -> None:
    """Show the first 15 bytes of `name` for this process in `ps` and `top`; only on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15])


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 if the process is gone or the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0 if sys.platform == "linux" else _resident_bytes_by_ps(pid)


def _resident_bytes_by_ps(pid: int) -> int:
    found = subprocess.run(["/bin/ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(found.stdout.strip() or 0) * 1024


def kill_when_closed(line: socket.socket | int) -> Callable[[], None]:
    """Kill this process group when the other end of `line` closes, until the returned function is called.

    `line` is a socket or a descriptor of a pipe; its other end must never send. Raises SystemExit if it is closed already. On Linux
    the kernel kills; elsewhere a thread does, which a model that never releases the interpreter lock can hold up.
    """
    release = _kill_by_signal(line) if hasattr(fcntl, "F_SETSIG") else _kill_by_thread(line)
    if select.select([line], [], [], 0)[0]:  # It closed before the signal was armed.
        raise SystemExit(1)
    return release


def _kill_by_signal(line: socket.socket | int) -> Callable[[], None]:
    fcntl.fcntl(line, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(line, fcntl.F_SETOWN, -os.getpgrp())
    flags = fcntl.fcntl(line, fcntl.F_GETFL)
    fcntl.fcntl(line, fcntl.F_SETFL, flags | os.O_ASYNC)

    def release() -> None:
        fcntl.fcntl(line, fcntl.F_SETFL, flags & ~os.O_ASYNC)

    return release


def _kill_by_thread(line: socket.socket | int) -> Callable[[], None]:
    released = threading.Event()

    def wait() -> None:
        select.select([line], [], [])
        if not released.is_set():
            os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
    return released.set


def share_port(listener: socket.socket, *, shared: bool) -> None:
    """Let other sockets of this user that share it listen on the port of `listener`, or no longer; nothing without SO_REUSEPORT."""
    if hasattr(socket, "SO_REUSEPORT"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))


def close_when_unread(listener: socket.socket, seconds: float) -> None:
    """Have the kernel close each accepted connection whose peer acknowledges nothing sent for `seconds`; only on Linux."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))


@contextmanager
def short_path(path: Path) -> Iterator[Path]:
    """A path of a Unix socket, within LONGEST_SOCKET_PATH, that is valid in the block. Its folder must exist. Raises OSError."""
    absolute = path.absolute()
    if len(os.fsencode(absolute)) <= LONGEST_SOCKET_PATH:
        yield absolute
        return
    with _short_folder(absolute.parent) as folder:
        yield folder / path.name


@contextmanager
def _short_folder(folder: Path) -> Iterator[Path]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        by_descriptor = Path(f"/proc/self/fd/{descriptor}")
        if by_descriptor.exists():
            yield by_descriptor
            return
        with tempfile.TemporaryDirectory(prefix="foretell-") as short:
            link = Path(short) / "s"
            link.symlink_to(folder)
            yield link
    finally:
        os.close(descriptor)


def user_name() -> str:
    """The user of the process, regardless of `USER` in the environment."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
