"""What was seen of a column in training, as a comment says it, and the bounds that follow from it.

The bounds are a function of the sentence alone: whoever reads the sentence again knows which bounds were made of it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime

from contract.writing import Option, number
from grpc_server.observed import seconds

SENTENCE = re.compile(r"Seen in training: (?P<low>\S+) to (?P<high>\S+?)\.(?=\s|$)")

FIELD = "(buf.validate.field)"

_LAST_SECOND = 253_402_300_799.0
"""Of the year 9999, since 1970."""

_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """The smallest and the largest value of a column; those of a time in seconds since 1970."""

    kind: str
    """The group of rules: "double", "int64" or "timestamp"."""
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """Such as `Seen in training: 4.3 to 7.9.`."""
        return f"Seen in training: {self.span}."

    @property
    def span(self) -> str:
        """Such as `4.3 to 7.9`."""
        return f"{self._told(self.low)} to {self._told(self.high)}"

    @property
    def bounds(self) -> tuple[float, float]:
        """The range with half of it more on both sides, in round numbers, and not beyond zero where zero was not crossed.

        A time may be any in the centuries around: what was trained on the past is asked about the future.
        """
        if self.kind == "timestamp":
            first, last = (_moment(seconds).year for seconds in (self.low, self.high))
            return _start_of(min(1900, first // 100 * 100)), _start_of(max(2200, -(-(last + 1) // 100) * 100))
        room = (self.high - self.low) / 2 or max(abs(self.high), 1) / 2
        step = 10.0 ** (math.floor(math.log10(room)) - 1) if math.isfinite(room) else 1.0
        step = max(step, 1.0) if self.kind == "int64" else step
        low = min(_stepped(math.floor((self.low - room) / step), step), self.low)
        high = max(_stepped(math.ceil((self.high + room) / step), step), self.high)
        if self.kind == "int64":
            low, high = max(low, -_MOST), min(high, _MOST)
        return (max(low, 0) if self.low >= 0 else low), (min(high, 0) if self.high <= 0 and self.low < 0 else high)

    @property
    def options(self) -> tuple[Option, ...]:
        """The rules that say the bounds."""
        within = ".seconds" if self.kind == "timestamp" else ""
        whole = self.kind != "double"
        return tuple(
            (f"{FIELD}.{self.kind}.{rule}{within}", number(int(bound) if whole else float(bound)))
            for rule, bound in zip(("gte", "lte"), self.bounds, strict=True)
        )

    def _told(self, value: float) -> str:
        return _moment(value).date().isoformat() if self.kind == "timestamp" else number(value)


def told(kind: str, comment: str) -> Range | None:
    """The range that a comment tells; None where it tells none."""
    found = SENTENCE.search(" ".join(comment.split()))
    if found is None:
        return None
    try:
        low, high = (_read(kind, text) for text in (found["low"], found["high"]))
    except ValueError:
        return None
    return Range(kind, low, high) if low <= high else None


def seen(kind: str, values: Sequence[float]) -> Range:
    """The range of some values."""
    return Range(kind, min(values), max(values))


def _read(kind: str, text: str) -> float:
    return seconds(text) if kind == "timestamp" else int(text) if kind == "int64" else float(text)


def _stepped(steps: int, step: float) -> float:
    """So many steps, without what binary fractions add to a decimal number."""
    return float(f"{steps * step:.12g}")


def _moment(since: float) -> datetime:
    return datetime.fromtimestamp(since, UTC)


def _start_of(year: int) -> float:
    """Its first second, within what a Timestamp can say."""
    return datetime(max(year, 1), 1, 1, tzinfo=UTC).timestamp() if year <= MAXYEAR else _LAST_SECOND
