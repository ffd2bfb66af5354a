"""What production and a shadow have answered, kept on disk: written off the way of the calls, bounded in bytes, read by reports.

Each server process writes segments of its own, lines of JSON. One that has grown is closed and another begun; of all segments of a
model the oldest make room. A writer holds a lock while it writes, so that the bound holds however many processes there are.
"""

import errno
import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from grpc_server.errors import ModelError
from grpc_server.settings import ServerSettings

logger = logging.getLogger(__name__)

_SUFFIX = ".jsonl"
_LOCK = ".lock"
_SEGMENTS = 16
"""Into how many segments the bytes that may be kept are divided, about: what makes room at once is one of them."""

_MOST_SEGMENTS = 256
"""However short-lived the processes are that write them."""


class Head(msgspec.Struct, tag="head", tag_field="line", frozen=True):
    """What the lines after it mean: the first of a segment, and again whenever something changes."""

    production: str
    """Version."""
    shadow: str
    """Version."""
    features: tuple[str, ...]
    """Names of the columns of a row, as the shadow takes them."""
    outputs: tuple[str, ...]
    """Names of what both say, labels first."""


class Compared(msgspec.Struct, tag="compared", tag_field="line", frozen=True, omit_defaults=True):
    """A call that both have answered."""

    at: float
    """When, in seconds since the epoch."""
    request_id: str
    production: list[list[str | float]]
    """What production says of each row."""
    shadow: list[list[str | float]]
    production_seconds: float | None = None
    """From its admission to its answer; None where not all rows were compared, so that the two would not be alike."""
    shadow_seconds: float | None = None
    features: list[list[Any]] | None = None
    """The rows; None where they are not kept."""
    skipped: int = 0
    """Calls that were left out since the line before, because there was no spare capacity."""


class Failed(msgspec.Struct, tag="failed", tag_field="line", frozen=True, omit_defaults=True):
    """A call that production has answered and the shadow has not."""

    at: float
    reason: str
    """Such as `INTERNAL`."""
    skipped: int = 0


Line: TypeAlias = Compared | Failed

_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(Head | Compared | Failed).decode


def folder_of(settings: ServerSettings, name: str) -> Path:
    """Where the pairs of a model are kept."""
    return settings.shadow_folder / name if settings.shadow_folder else settings.models / name / ".shadow"


class ShadowLog:
    """The segments that one process writes about one shadow. For one thread."""

    def __init__(self, folder: Path, shadow: str, most_bytes: int) -> None:
        """`most_bytes` is what all segments in `folder` may hold together; with 0, nothing is kept."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._name = f"{shadow}-{secrets.token_hex(4)}{_SUFFIX}"
        self._pending: list[tuple[Head, bytes]] = []
        self._file: int | None = None
        self._left = 0
        """Bytes that the file may still take."""
        self._written: Head | None = None
        """The last in the file."""
        self._troubled = False

    def note(self, head: Head, line: Line) -> None:
        """Keep a line for the next `flush`; `head` says what it means."""
        if self._most_bytes:
            self._pending.append((head, _ENCODE(line) + b"\n"))

    @property
    def pending(self) -> bool:
        """Whether there is anything to flush."""
        return bool(self._pending)

    def flush(self) -> None:
        """Write what was noted. Where it cannot be written it is lost, and the log of the server says so once."""
        pending, self._pending = self._pending, []
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            with _locked(self._folder):
                room = _Room(self._folder, self._most_bytes)
                for head, line in pending:
                    self._write(room, head, line)
            self._troubled = False
        except OSError as error:
            if not self._troubled:
                logger.warning("what the shadow answers is not kept: cannot write to %s: %s", self._folder, error.strerror)
            self._troubled = True
            self._end_segment()  # Half a line may be in it.

    def close(self) -> None:
        """Write what was noted, and no more after it."""
        if self._pending:
            self.flush()
        self._end_segment()

    def _write(self, room: "_Room", head: Head, line: bytes) -> None:
        above = _ENCODE(head) + b"\n"
        room.make(len(above) + len(line))
        data = line if head == self._written else above + line
        if self._file is None or len(data) > self._left or not os.fstat(self._file).st_nlink:  # It may have made room itself.
            self._end_segment()
            self._file = os.open(
                self._folder / f"{time.time_ns():020d}-{self._name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o640
            )
            self._left = max(self._most_bytes // _SEGMENTS, len(above) + len(line))
            data = above + line
        if os.write(self._file, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._written = head
        self._left -= len(data)

    def _end_segment(self) -> None:
        self._written = None
        if self._file is not None:
            os.close(self._file)
            self._file = None


class _Room:
    """The bytes that may still be written while the lock is held."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._segments = _segments(folder)
        self._taken = sum(path.stat().st_size for path in self._segments)

    def make(self, count: int) -> None:
        """Have the oldest segments make room for so many bytes more."""
        while self._segments and (self._taken + count > self._most_bytes or len(self._segments) > _MOST_SEGMENTS):
            oldest = self._segments.pop(0)
            self._taken -= oldest.stat().st_size
            oldest.unlink()
        self._taken += count


def read(folder: Path, shadow: str | None = None) -> Iterator[tuple[str, Head, Line]]:
    """Every line that is kept, or those about one version, with a word that is its writer's own; segments oldest first.

    A line that a crash has cut short is left out. Raises ModelError for what may not be read.
    """
    for path in _segments(folder):
        _when, version, writer = path.name.removesuffix(_SUFFIX).split("-")
        if shadow not in (None, version):
            continue
        try:
            lines = path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:  # It has made room meanwhile.
            continue
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}") from None
        head: Head | None = None
        for line in lines:
            decoded = _decoded(line)
            if isinstance(decoded, Head):
                head = decoded
            elif decoded is not None and head is not None:
                yield writer, head, decoded


def _decoded(line: bytes) -> Head | Line | None:
    try:
        return _DECODE(line) if line.endswith(b"\n") else None
    except msgspec.DecodeError:
        return None


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}"))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
