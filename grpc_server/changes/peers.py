"""The servers of one repository on this machine, each with a Unix socket for control: `<folder>/<n>.sock`.

Whoever holds the lock `<n>.lock` has the socket beside it, so that what a killed server left behind is no server.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from foretell_lifecycle.platform import short_path

_MOST = 4096


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that runs."""

    socket: Path
    name: str
    """In words, such as `the server at 127.0.0.1:50051 (process 4711)`."""


@contextmanager
def joined(folder: Path) -> Iterator[tuple[Path, int]]:
    """A path for the socket of this server, and where to say its name, until the end of the block. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1, _MOST):
        lock = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _locked(lock, fcntl.LOCK_EX):
                continue
            os.truncate(lock, 0)
            yield folder / f"{number}.sock", lock
            return
        finally:
            os.close(lock)
    raise OSError(f"more than {_MOST} servers in {folder}")


def introduce(lock: int, name: str) -> None:
    """Say the name of this server, once it answers: peers see it from now on."""
    os.pwrite(lock, name.encode(), 0)


def peers(folder: Path) -> list[Peer]:
    """The servers that have introduced themselves; empty where there are none, or they are another user's."""
    try:
        locks = sorted(folder.glob("*.lock"), key=lambda lock: (len(lock.name), lock.name))
    except OSError:
        return []
    return [Peer(lock.with_suffix(".sock"), name) for lock in locks if (name := _name(lock))]


def alive(peer: Peer) -> bool:
    """Whether it still runs, and is the same."""
    return _name(peer.socket.with_suffix(".lock")) == peer.name


@contextmanager
def address(path: Path) -> Iterator[str]:
    """The address of a socket for grpcio, within the block."""
    with short_path(path) as short:
        yield f"unix:{short}"


def _name(lock: Path) -> str:
    """Who holds the lock; empty where nobody does, or does not answer yet."""
    with suppress(OSError):
        descriptor = os.open(lock, os.O_RDONLY)
        try:
            if not _locked(descriptor, fcntl.LOCK_SH):
                return os.pread(descriptor, 1024, 0).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
    return ""


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
