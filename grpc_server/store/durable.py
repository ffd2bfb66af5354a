"""Files that outlive a crash: written through to the disk before anybody relies on them."""

import os
import tempfile
import time
from pathlib import Path

from foretell_lifecycle.failpoint import failpoint

_STEP = 10**9
"""Nanoseconds. Some file systems keep whole seconds only."""


def write(path: Path, data: bytes) -> None:
    """Write a new file through to the disk. Its name is only there for good after `sync` of its folder. Raises OSError."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Write the names in a folder through to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Give a file another content, durably: whoever reads it, and whatever crashes, finds the old or the new. Raises OSError.

    Its time of modification rises, whatever the clock does. One writer at a time.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    staged = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)  # The server may run as another user than the one who writes.
            file.flush()
            # Left to itself the time moves in ticks: two files of one tick would share it, and perhaps their inode number.
            changed = max(time.time_ns(), _changed(path) + _STEP)
            os.utime(file.fileno(), ns=(changed, changed))
            failpoint("record-written")
            os.fsync(file.fileno())
        failpoint("record-synced")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    failpoint("record-replaced")
    sync(path.parent)
    failpoint("record-durable")


def _changed(path: Path) -> int:
    """When a file was last changed, in nanoseconds; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
