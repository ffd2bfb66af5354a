"""What is kept of a shadow and production, gathered from all server processes."""

import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from foretell.shadow.drift import Numbers, Shift
from grpc_server.shadow.readable_outputs import LABELS, kind_of
from grpc_server.shadow.shadow_log import Compared, Failed, Head, read

MOST_ROWS = 20
"""Rows that are told of, those that differ most."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row with both answers."""

    when: datetime
    request_id: str
    features: dict[str, Any] | None
    """None where they are not kept."""
    production: dict[str, str | float]
    shadow: dict[str, str | float]


def _floats() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class Pairs:
    """Everything that two versions were both asked, as far as it is kept."""

    production: str
    """Version."""
    shadow: str
    """Version."""
    calls: int = 0
    """That both have answered."""
    rows: int = 0
    agreeing: int = 0
    """Rows with the same labels."""
    skipped: int = 0
    """Calls that were left out, because there was no spare capacity."""
    failed: Counter[str] = field(default_factory=Counter)
    """Calls that the shadow did not answer, by the reason."""
    writers: set[str] = field(default_factory=set)
    """Server processes, by a word of their own."""
    first: float = np.inf
    last: float = -np.inf
    """Seconds since the epoch."""
    labels: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    """How often production and the shadow said what, by the name of the label."""
    _numbers: dict[str, tuple["array[float]", "array[float]"]] = field(default_factory=dict)
    _seconds: tuple["array[float]", "array[float]"] = field(default_factory=lambda: (_floats(), _floats()))
    _apart: dict[str, list[tuple[float, int, Row]]] = field(default_factory=lambda: defaultdict(list))
    """A heap for each number, of the rows in which it differs most: whatever its unit is worth, the furthest rows are there."""
    _order: Iterator[int] = field(default_factory=count)

    @property
    def numbers(self) -> dict[str, tuple[Numbers, Numbers]]:
        """What production and the shadow said of each row, by the name of the number."""
        return {name: (np.asarray(ours), np.asarray(theirs)) for name, (ours, theirs) in self._numbers.items()}

    @property
    def shifts(self) -> dict[str, Shift]:
        """By the name of the number."""
        return {name: Shift.of(*both) for name, both in self.numbers.items()}

    @property
    def seconds(self) -> tuple[Numbers, Numbers]:
        """How long production and the shadow took for each call of which all rows were compared."""
        return np.asarray(self._seconds[0]), np.asarray(self._seconds[1])

    @property
    def furthest(self) -> list[Row]:
        """The rows that differ most, the most different first: a probability in itself, a value by its spread in production."""
        scales = {name: _scale(name, ours) for name, (ours, _) in self.numbers.items()}
        scored: dict[int, tuple[float, Row]] = {}
        for name, heap in self._apart.items():
            for apart, order, row in heap:
                score = apart / scales.get(name, 1.0)
                if order not in scored or score > scored[order][0]:
                    scored[order] = (score, row)
        return [row for _, row in sorted(scored.values(), key=lambda each: -each[0])[:MOST_ROWS]]

    def take(self, writer: str, head: Head, line: Compared | Failed) -> None:
        """Add what one line says."""
        self.writers.add(writer)
        self.skipped += line.skipped
        self.first, self.last = min(self.first, line.at), max(self.last, line.at)
        if isinstance(line, Failed):
            self.failed[line.reason] += 1
            return
        self.calls += 1
        if line.production_seconds is not None and line.shadow_seconds is not None:
            self._seconds[0].append(line.production_seconds)
            self._seconds[1].append(line.shadow_seconds)
        for place, (ours, theirs) in enumerate(zip(line.production, line.shadow, strict=True)):
            self._take_row(head, line, place, ours, theirs)

    def _take_row(self, head: Head, line: Compared, place: int, ours: list[str | float], theirs: list[str | float]) -> None:
        alike, order = True, next(self._order)
        words_only = all(kind_of(name) in LABELS for name in head.outputs)
        for name, one, other in zip(head.outputs, ours, theirs, strict=True):
            if kind_of(name) in LABELS:
                self.labels[name][str(one), str(other)] += 1
                alike = alike and one == other
                apart = float(words_only and one != other)  # Else the numbers tell how far it is from one label to another.
            else:
                both = self._numbers.setdefault(name, (_floats(), _floats()))
                both[0].append(float(one))
                both[1].append(float(other))
                apart = abs(float(one) - float(other))
            heap = self._apart[name]
            if apart and (len(heap) < MOST_ROWS or apart > heap[0][0]):
                push = heapq.heappush if len(heap) < MOST_ROWS else heapq.heapreplace
                push(heap, (apart, order, _row(head, line, place, ours, theirs)))
        self.rows += 1
        self.agreeing += alike


def gather(folder: Path, shadow: str | None) -> list[Pairs]:
    """All pairs of versions of which something is kept, or those with one shadow; those that were compared last come last.

    Raises ModelError for what cannot be read.
    """
    found: dict[tuple[str, str], Pairs] = {}
    for writer, head, line in read(folder, shadow):
        key = (head.production, head.shadow)
        if key not in found:
            found[key] = Pairs(*key)
        found[key].take(writer, head, line)
    return sorted(found.values(), key=lambda pairs: pairs.last)


def moment(seconds: float) -> datetime:
    """A time of the log."""
    return datetime.fromtimestamp(seconds, UTC)


def percentiles(seconds: Numbers, places: Iterable[float]) -> list[float]:
    """In milliseconds; nothing where nothing was timed."""
    return [float(ms) for ms in np.percentile(seconds, list(places)) * 1000] if len(seconds) else []


def _row(head: Head, line: Compared, place: int, ours: list[str | float], theirs: list[str | float]) -> Row:
    features = dict(zip(head.features, line.features[place], strict=True)) if line.features is not None else None
    both = (dict(zip(head.outputs, answer, strict=True)) for answer in (ours, theirs))
    return Row(moment(line.at), line.request_id, features, *both)


def _scale(name: str, ours: Numbers) -> float:
    spread = 1.0 if kind_of(name) == "probability" else float(np.std(ours))
    return spread or 1.0
