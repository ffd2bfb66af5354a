"""Pairs of answers of production and a shadow, read from the logs of all server processes."""

import heapq
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from foretell.shadow.drift import Numbers, Shift
from grpc_server.shadow.readable_outputs import LABELS, kind_of
from grpc_server.shadow.shadow_log import Compared, Failed, Head, read
from grpc_server.store.route_table import percent

MOST_ROWS = 20
"""Rows of a report: those that differ most."""


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One row with both answers."""

    when: datetime
    request_id: str
    features: dict[str, Any] | None
    production: dict[str, str | float]
    shadow: dict[str, str | float]


@dataclass(slots=True)
class AnswerPairs:
    """Recorded calls that two versions answered, and statistics over them."""

    production: str
    shadow: str
    calls: int = 0
    rows: int = 0
    agreeing: int = 0
    """Rows with the same labels."""
    labelled: int = 0
    """Rows with labels: only these can agree."""
    skipped: int = 0
    """Calls that were not compared, because there was no spare capacity."""
    failed: Counter[str] = field(default_factory=Counter)
    """Calls that the shadow did not answer, by reason."""
    writers: set[str] = field(default_factory=set)
    first: float = np.inf
    last: float = -np.inf
    """Seconds since the epoch."""
    labels: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    """Counts of pairs of labels, production's first, by the name of the output."""
    _numbers: dict[str, tuple["array[float]", "array[float]"]] = field(default_factory=dict)
    _seconds: tuple["array[float]", "array[float]"] = field(default_factory=lambda: (array("d"), array("d")))
    _heaps: dict[str, list[tuple[float, int, ComparedRow]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def numbers(self) -> dict[str, tuple[Numbers, Numbers]]:
        """Production's and the shadow's numbers, one a row, by the name of the output."""
        return {name: (np.asarray(ours), np.asarray(theirs)) for name, (ours, theirs) in self._numbers.items()}

    @property
    def shifts(self) -> dict[str, Shift]:
        """By the name of the output."""
        return {name: Shift.of(*both) for name, both in self.numbers.items()}

    @property
    def seconds(self) -> tuple[Numbers, Numbers]:
        """Latency of production and the shadow, for calls of which all rows were compared."""
        return np.asarray(self._seconds[0]), np.asarray(self._seconds[1])

    @property
    def furthest(self) -> list[ComparedRow]:
        """The rows that differ most, largest difference first. Values are scaled by their standard deviation in production."""
        scales = {name: _scale(name, ours) for name, (ours, _) in self.numbers.items()}
        scored: dict[int, tuple[float, ComparedRow]] = {}
        for name, heap in self._heaps.items():
            for difference, order, row in heap:
                score = difference / scales.get(name, 1.0)
                if order not in scored or score > scored[order][0]:
                    scored[order] = (score, row)
        return [row for _, row in sorted(scored.values(), key=lambda each: -each[0])[:MOST_ROWS]]

    def take(self, writer: str, head: Head, line: Compared | Failed) -> None:
        """Adds one line of a log."""
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
        alike = True
        labels_only = all(kind_of(name) in LABELS for name in head.outputs)
        for name, one, other in zip(head.outputs, ours, theirs, strict=True):
            if kind_of(name) in LABELS:
                self.labels[name][str(one), str(other)] += 1
                alike = alike and one == other
                difference = float(labels_only and one != other)  # Otherwise the numbers measure the difference.
            else:
                both = self._numbers.setdefault(name, (array("d"), array("d")))
                both[0].append(float(one))
                both[1].append(float(other))
                difference = abs(float(one) - float(other))
            heap = self._heaps[name]
            if difference and (len(heap) < MOST_ROWS or difference > heap[0][0]):
                push = heapq.heappush if len(heap) < MOST_ROWS else heapq.heapreplace
                push(heap, (difference, self.rows, _row(head, line, place, ours, theirs)))
        self.rows += 1
        labelled = any(kind_of(name) in LABELS for name in head.outputs)
        self.labelled += labelled
        self.agreeing += labelled and alike


def gather(folder: Path) -> list[AnswerPairs]:
    """Reads all recorded pairs of versions, ordered by their last call. Raises ModelError for an unreadable log."""
    found: dict[tuple[str, str], AnswerPairs] = {}
    for writer, head, line in read(folder):
        key = (head.production, head.shadow)
        if key not in found:
            found[key] = AnswerPairs(*key)
        found[key].take(writer, head, line)
    return sorted(found.values(), key=lambda pairs: pairs.last)


def summary(pairs: AnswerPairs) -> list[str]:
    """The first lines of a report."""
    processes = f"{len(pairs.writers)} server process{'es' * (len(pairs.writers) != 1)}"
    times = " to ".join(moment(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S") for seconds in (pairs.first, pairs.last))
    failed = f" ({', '.join(f'{reason} {calls:,}' for reason, calls in pairs.failed.most_common())})" if pairs.failed else ""
    lines = [
        f"{pairs.rows:,} rows of {pairs.calls:,} calls, {times}, {processes}",
        f"{pairs.failed.total():,} calls failed{failed}, {pairs.skipped:,} were skipped, because there was no spare capacity",
    ]
    if pairs.labelled:
        lines.append(f"{percent(pairs.agreeing / pairs.labelled)} of the rows have the same label")
    return lines


def moment(seconds: float) -> datetime:
    """Converts seconds since the epoch to a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def percentiles(seconds: Numbers) -> list[float]:
    """The 50th and the 99th percentile in milliseconds; empty without measurements."""
    return [float(ms) for ms in np.percentile(seconds, [50, 99]) * 1000] if len(seconds) else []


def _row(head: Head, line: Compared, place: int, ours: list[str | float], theirs: list[str | float]) -> ComparedRow:
    features = dict(zip(head.features, line.features[place], strict=True)) if line.features is not None else None
    both = (dict(zip(head.outputs, answer, strict=True)) for answer in (ours, theirs))
    return ComparedRow(moment(line.at), line.request_id, features, *both)


def _scale(name: str, ours: Numbers) -> float:
    spread = 1.0 if kind_of(name) == "probability" else float(np.std(ours))
    return spread or 1.0
