"""The log of a shadow: answers of production and the shadow on disk, bounded in bytes, for reports.

Each server process writes its own segments, files with a JSON document on each line. The oldest segments of a
model are deleted when the bound is reached. Writers hold a file lock, so any number of processes keeps to the bound.
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from grpc_server.errors import ModelError
from grpc_server.settings import ServerSettings

logger = logging.getLogger(__name__)

_SUFFIX = ".jsonl"
_LOCK = ".lock"
_SEGMENTS = 16
"""About how many segments fit into the bound; one of them is deleted at once."""

_MOST_SEGMENTS = 256
"""Limits the number of files if many short-lived processes write."""

_NO_SEGMENT = Path()


class Head(msgspec.Struct, tag="head", tag_field="line", frozen=True):
    """The meaning of the lines after it: the first line of each flush, repeated whenever something changes."""

    production: str
    shadow: str
    """Versions."""
    features: tuple[str, ...]
    """Columns of a row, in the shadow's order."""
    outputs: tuple[str, ...]
    """Outputs that both versions have, labels first."""


class Compared(msgspec.Struct, tag="compared", tag_field="line", frozen=True, omit_defaults=True):
    """A call that both versions have answered."""

    at: float
    """Seconds since the epoch."""
    request_id: str
    production: list[list[str | float]]
    """Production's outputs for each row."""
    shadow: list[list[str | float]]
    production_seconds: float | None = None
    """From admission to answer; None if only some rows were compared, because the two latencies would then differ in size."""
    shadow_seconds: float | None = None
    features: list[list[Any]] | None = None
    """The rows; None if they are not logged."""
    skipped: int = 0
    """Calls skipped since the line before, because the queue was full."""


class Failed(msgspec.Struct, tag="failed", tag_field="line", frozen=True, omit_defaults=True):
    """A call that production has answered and the shadow has refused."""

    at: float
    reason: str
    """Reason of the refusal, such as `INTERNAL`."""
    skipped: int = 0


Line: TypeAlias = Compared | Failed

_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(Head | Compared | Failed).decode


def shadow_log_folder(settings: ServerSettings, name: str) -> Path:
    """Folder of the segments of a model."""
    return settings.shadow_folder / name if settings.shadow_folder else settings.models / name / ".shadow"


class ShadowLog:
    """Writes the segments of one process for one shadow. For one thread."""

    def __init__(self, folder: Path, shadow: str, most_bytes: int) -> None:
        """`most_bytes` bounds all segments in `folder` together; 0 turns the log off."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._segment_bytes = most_bytes // _SEGMENTS
        self._name = f"{shadow}-{secrets.token_hex(4)}{_SUFFIX}"
        self.pending = bytearray()
        """Lines to flush."""
        self._head: Head | None = None
        """The last one of `pending`."""
        self._segment = _NO_SEGMENT
        self._failing = False

    def append(self, head: Head, line: Line) -> None:
        """Keep a line for the next `flush`, which is at once if they fill a segment; `head` gives its meaning."""
        if not self._most_bytes:
            return
        if head != self._head:
            self.pending += _ENCODE(head) + b"\n"
            self._head = head
        self.pending += _ENCODE(line) + b"\n"
        if len(self.pending) > self._segment_bytes:
            self.flush()

    def flush(self) -> None:
        """Write the lines. Lines that cannot be written are lost; the first of several failures is logged."""
        if not self.pending:
            return
        lines, self.pending, self._head = self.pending, bytearray(), None
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            with (self._folder / _LOCK).open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._write(lines)
            self._failing = False
        except OSError as error:
            if not self._failing:
                logger.warning("the shadow's answers are lost: cannot write to %s: %s", self._folder, error.strerror)
            self._failing = True
            self._segment = _NO_SEGMENT  # It may end in half a line.

    def _write(self, lines: bytearray) -> None:
        sizes = _make_room(self._folder, len(lines), self._most_bytes)
        if self._segment not in sizes or sizes[self._segment] + len(lines) > self._segment_bytes:  # Another process may delete it.
            self._segment = self._folder / f"{time.time_ns():020d}-{self._name}"
        with open(self._segment, "ab", opener=lambda path, flags: os.open(path, flags, 0o640)) as file:
            file.write(lines)


def _make_room(folder: Path, count: int, most_bytes: int) -> dict[Path, int]:
    """Delete the oldest segments until so many more bytes fit; the sizes of the others."""
    sizes = {path: path.stat().st_size for path in _segments(folder)}
    while sizes and (sum(sizes.values()) + count > most_bytes or len(sizes) > _MOST_SEGMENTS):
        oldest = next(iter(sizes))
        oldest.unlink()
        del sizes[oldest]
    return sizes


def read(folder: Path) -> Iterator[tuple[str, Head, Line]]:
    """Lines of all shadows, each with the id of its writer; the oldest segment first.

    Skips a line that a crash has cut short. Raises ModelError for a segment that cannot be read.
    """
    for path in _segments(folder):
        writer = path.name.removesuffix(_SUFFIX).rpartition("-")[2]
        try:
            lines = path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:  # A writer has deleted it meanwhile.
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
