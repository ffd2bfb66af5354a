"""Durable writes: a file, a folder's entries and an atomic replacement, synced to the disk before they return."""

import os
import tempfile
import time
from pathlib import Path

from foretell_lifecycle.failpoint import failpoint

_STEP = 10**9
"""Nanoseconds between the mtimes of two versions of a file. Some file systems store whole seconds only."""


def write(path: Path, data: bytes) -> None:
    """Writes and syncs a new file. Its folder entry is durable only after `sync` of the folder. Raises OSError."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Syncs the entries of a folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Replaces the content of a file atomically and durably: readers see the old or the new content, also after a crash.

    Its mtime increases even if the clock does not. Callers allow one writer at a time. Raises OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    staged = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)  # The server may run as another user.
            file.flush()
            # The kernel's mtime moves in ticks: two files of one tick would share it, and perhaps their inode number.
            earlier = path.stat().st_mtime_ns if path.exists() else 0
            mtime = max(time.time_ns(), earlier + _STEP)
            os.utime(file.fileno(), ns=(mtime, mtime))
            failpoint("record-written")
            os.fsync(file.fileno())
        failpoint("record-synced")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    failpoint("record-replaced")
    sync(path.parent)
    failpoint("record-durable")
