"""Files that outlive a crash: written through to the disk before anybody relies on them."""

import os
import tempfile
from pathlib import Path

from lifecycle.failpoint import failpoint


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
    """Give a file another content, durably: whoever reads it, and whatever crashes, finds the old or the new. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    staged = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)  # The server may run as another user than the one who writes.
            file.flush()
            failpoint("record-written")
            os.fsync(file.fileno())
        failpoint("record-synced")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    failpoint("record-replaced")
    sync(path.parent)
    failpoint("record-durable")
