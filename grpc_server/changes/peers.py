"""The running servers of one repository on this machine, each with a Unix socket for control: `<folder>/<n>.sock`.

A running server holds a lock on `<n>.lock` beside its socket, so that the files of a killed server do not count.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from foretell_lifecycle.platform import short_path

_MOST_SERVERS = 4096


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server."""

    socket: Path
    name: str
    """For people, such as `the server at 127.0.0.1:50051 (process 4711)`."""


@contextmanager
def claim_socket(folder: Path) -> Iterator[tuple[Path, int]]:
    """A free socket path and the locked descriptor for `announce`, until the end of the block. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1, _MOST_SERVERS):
        lock = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _try_lock(lock, fcntl.LOCK_EX):
                continue
            os.truncate(lock, 0)
            yield folder / f"{number}.sock", lock
            return
        finally:
            os.close(lock)
    raise OSError(f"more than {_MOST_SERVERS} servers in {folder}")


def announce(lock: int, name: str) -> None:
    """Writes the name of this server into its lock file, which makes it visible to `running`. Call it once the socket answers."""
    os.pwrite(lock, name.encode(), 0)


def running(folder: Path) -> list[Peer]:
    """The announced servers; none if the folder is missing or belongs to another user."""
    try:
        locks = sorted(folder.glob("*.lock"), key=lambda lock: (len(lock.name), lock.name))
    except OSError:
        return []
    return [Peer(lock.with_suffix(".sock"), name) for lock in locks if (name := _name(lock))]


def alive(peer: Peer) -> bool:
    """Whether the same server still runs."""
    return _name(peer.socket.with_suffix(".lock")) == peer.name


@contextmanager
def address(path: Path) -> Iterator[str]:
    """The address of a socket for grpcio, within the block."""
    with short_path(path) as short:
        yield f"unix:{short}"


def _name(lock: Path) -> str:
    """Name of the server that holds the lock; empty if there is none, or it is not announced yet."""
    with suppress(OSError):
        descriptor = os.open(lock, os.O_RDONLY)
        try:
            if not _try_lock(descriptor, fcntl.LOCK_SH):
                return os.pread(descriptor, 1024, 0).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
    return ""


def _try_lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
