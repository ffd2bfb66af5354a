"""What was seen of a column in training, as a comment says it, and the bounds that follow from it.

The bounds are a function of the sentence alone: whoever reads the sentence again knows which bounds were made of it.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime

from foretell_contract.source.proto_text import Option, number_text
from grpc_server.store.training_values import seconds

SENTENCE = re.compile(r"Seen in training: (?P<low>\S+) to (?P<high>\S+?)\.(?=\s|$)")

FIELD = "(buf.validate.field)"

_LAST_SECOND = 253_402_300_799.0
"""Of the year 9999, since 1970."""

_MOST = {"int64": 2**63 - 1, "duration": 315_576_000_000}
"""The largest whole number of each kind; that of a Duration is ten thousand years of seconds."""

_TIMES = ("timestamp", "duration")

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_LENGTH = re.compile(r"(?P<sign>-?)(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")


@dataclass(frozen=True, slots=True)
class Range:
    """The smallest and the largest value of a column; of a point in time in seconds since 1970, of a length of time in seconds."""

    kind: str
    """The group of rules: "double", "int64", "timestamp" or "duration"."""
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """Such as `Seen in training: 4.3 to 7.9.`."""
        return f"Seen in training: {self.span}."

    @property
    def accepted(self) -> str:
        """The bounds as a sentence, where the rules have them in seconds, which nobody reads; else empty."""
        low, high = self.bounds
        return f"Accepted: {self.shown(low)} to {self.shown(high)}." if self.kind in _TIMES else ""

    @property
    def span(self) -> str:
        """Such as `4.3 to 7.9`."""
        return f"{self.shown(self.low)} to {self.shown(self.high)}"

    @property
    def bounds(self) -> tuple[float, float]:
        """The range with half of it more on both sides, in round numbers, and not beyond zero where zero was not crossed.

        A time may be any in the centuries around: what was trained on the past is asked about the future.
        """
        if self.kind == "timestamp":
            first, last = (_moment(seconds).year for seconds in (self.low, self.high))
            return _start_of(min(1900, first // 100 * 100)), _start_of(max(2200, -(-(last + 1) // 100) * 100))
        room = (self.high - self.low) / 2 or max(abs(self.high), 1) / 2
        most = _MOST.get(self.kind)
        step = _step(room, _unit(room) if self.kind == "duration" else 1)
        step = max(step, 1.0) if most else step
        low = min(_stepped(math.floor((self.low - room) / step), step), self.low)
        high = max(_stepped(math.ceil((self.high + room) / step), step), self.high)
        if most:
            low, high = max(math.floor(low), -most), min(math.ceil(high), most)
        return (max(low, 0) if self.low >= 0 else low), (min(high, 0) if self.high <= 0 and self.low < 0 else high)

    @property
    def options(self) -> tuple[Option, ...]:
        """The rules that say the bounds."""
        within = ".seconds" if self.kind in _TIMES else ""
        whole = self.kind != "double"
        return tuple(
            (f"{FIELD}.{self.kind}.{rule}{within}", number_text(int(bound) if whole else float(bound)))
            for rule, bound in zip(("gte", "lte"), self.bounds, strict=True)
        )

    def shown(self, value: float) -> str:
        """A value of the column as people write it."""
        if self.kind == "duration":
            return _length(value)
        return _moment(value).date().isoformat() if self.kind == "timestamp" else number_text(value)


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
    """The range of some values, as exactly as its sentence tells it."""
    low, high = (round(value, 6) if kind == "duration" else value for value in (min(values), max(values)))
    return Range(kind, low, high)


def _read(kind: str, text: str) -> float:
    readers: dict[str, Callable[[str], float]] = {"timestamp": seconds, "duration": _seconds, "int64": int}
    return readers.get(kind, float)(text)


def _length(value: float) -> str:
    """A length of time as people write it: `1d2h`, `4m29s`, `0s`."""
    if math.isinf(value):
        return number_text(value)
    left, parts = abs(value), []
    for unit in ("d", "h", "m"):
        whole, left = divmod(left, _UNITS[unit])
        parts += [f"{int(whole)}{unit}"] if whole else []
    told = f"{left:.6f}".rstrip("0").rstrip(".")
    parts += [f"{told}s"] if told != "0" or not parts else []
    return "-" * (value < 0) + "".join(parts)


def _seconds(text: str) -> float:
    """What `_length` wrote. Raises ValueError for anything else."""
    found = _LENGTH.fullmatch(text)
    if found is None or not any(found[unit] for unit in _UNITS):
        raise ValueError(text)
    return sum(float(found[unit] or 0) * count for unit, count in _UNITS.items()) * (-1 if found["sign"] else 1)


def _step(room: float, unit: int) -> float:
    """A hundredth to a tenth of the room, a power of ten of the unit."""
    return 10.0 ** (math.floor(math.log10(room / unit)) - 1) * unit if math.isfinite(room) else 1.0


def _unit(room: float) -> int:
    """The largest unit of which there is room for ten."""
    return next((unit for unit in _UNITS.values() if room >= 10 * unit), 1)


def _stepped(steps: int, step: float) -> float:
    """So many steps, without what binary fractions add to a decimal number."""
    return float(f"{steps * step:.12g}")


def _moment(since: float) -> datetime:
    return datetime.fromtimestamp(since, UTC)


def _start_of(year: int) -> float:
    """Its first second, within what a Timestamp can say."""
    return datetime(max(year, 1), 1, 1, tzinfo=UTC).timestamp() if year <= MAXYEAR else _LAST_SECOND
