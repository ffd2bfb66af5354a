"""The range of a column in the training data: its sentence in a comment, and the bounds drafted from it.

The bounds depend only on the sentence, so `foretell init` can tell from a comment whether the bounds below it are its own.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from foretell.check.column_scales import scale_of
from foretell_contract.source.proto_text import Option, number_text
from foretell_contract.source.training_sentences import SEEN
from grpc_server.store.training_values import seconds

FIELD = "(buf.validate.field)"

_LAST_SECOND = 253_402_300_799.0
"""The last second of the year 9999, since 1970."""

_MOST = {"int64": 2**63 - 1, "uint64": 2**64 - 1, "duration": 315_576_000_000}
"""The largest integer of each kind; for a Duration in seconds, ten thousand years."""

_TIMES = ("timestamp", "duration")
_RULES = {"string": ("min_len", "max_len")}

_LONG_TEXT = 1000
"""Characters that every text may have."""

_FEW_DIGITS = 6
"""Numbers with more digits are rounded outwards, to a thousandth of the range."""

_OUTLIERS = 100
"""Bounds are this many times the range away from it where the model finds outliers."""

_EXACT = Context(prec=800)
"""Enough digits for the sum of any two doubles."""

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_LENGTH = re.compile(r"(?P<sign>-?)(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")


@dataclass(frozen=True, slots=True)
class Range:
    """The smallest and the largest value of a column; timestamps in seconds since 1970, durations in seconds, texts by length."""

    kind: str
    """The group of `buf.validate` rules: "double", "int64", "timestamp", "duration" or "string"."""
    low: float
    high: float
    column: str = ""
    """The name of the column, which may tell its scale."""
    outliers: bool = False
    """Whether the model finds outliers, and so must be sent them."""

    @property
    def sentence(self) -> str:
        """Such as `Seen in training: 4.3 to 7.9.`."""
        return f"Seen in training: {self.span}."

    @property
    def accepted(self) -> str:
        """The bounds of a time or a text as a sentence, because the rules of a time are in seconds; empty for numbers."""
        return f"Accepted: {self._span(*self.bounds)}." if self.kind in (*_TIMES, "string") else ""

    @property
    def span(self) -> str:
        """Such as `4.3 to 7.9`, or `1 to 12 characters`."""
        return self._span(self.low, self.high)

    def _span(self, low: float, high: float) -> str:
        return f"{self.text(low)} to {self.text(high)}{' characters' * (self.kind == 'string')}"

    @property
    def scale(self) -> tuple[float, float] | None:
        """The scale that a number evidently has by its name; None if unknown."""
        whole = self.kind in ("int64", "uint64")
        return scale_of(self.column, self.low, self.high, whole=whole) if whole or self.kind == "double" else None

    def union(self, other: "Range") -> "Range":
        """The range of both."""
        return replace(self, low=min(self.low, other.low), high=max(self.high, other.high))

    @property
    def bounds(self) -> tuple[float, float]:
        """The scale, or else the range widened by half on both sides, in round numbers, and not beyond zero unless it crosses it.

        Where the model finds outliers, a hundred times the range on both sides. A timestamp may be any in the centuries around the
        range: models trained on the past are asked about the future.
        """
        if self.scale:
            return self.scale
        if self.kind == "string":
            return min(self.low, 1), max(_LONG_TEXT, math.ceil(self.high / 5) * 10)
        if self.kind == "timestamp":
            first, last = (datetime.fromtimestamp(moment, UTC).year for moment in (self.low, self.high))
            return _start_of(min(1900, first // 100 * 100)), _start_of(max(2200, -(-(last + 1) // 100) * 100))
        room = (self.high - self.low or max(abs(self.high), 1)) * (_OUTLIERS if self.outliers else 0.5)
        most = _MOST.get(self.kind)
        step = _step(room, _unit(room) if self.kind == "duration" else 1)
        step = max(step, 1.0) if most else step
        low = min(_stepped(math.floor((self.low - room) / step), step), self.low)
        high = max(_stepped(math.ceil((self.high + room) / step), step), self.high)
        if most:
            low, high = max(math.floor(low), -most - (self.kind == "int64")), min(math.ceil(high), most)
        if self.outliers:
            return low, high
        return (max(low, 0) if self.low >= 0 else low), (min(high, 0) if self.high <= 0 and self.low < 0 else high)

    @property
    def rules(self) -> tuple[str, str]:
        """The names of the rules for the lower and the upper bound."""
        return _RULES.get(self.kind, ("gte", "lte"))

    @property
    def bound_texts(self) -> dict[str, str]:
        """The bounds as they are written in a contract, by rule."""
        convert = float if self.kind == "double" else int
        return {rule: number_text(convert(bound)) for rule, bound in zip(self.rules, self.bounds, strict=True)}

    @property
    def options(self) -> tuple[Option, ...]:
        """The bounds as rules."""
        within = ".seconds" if self.kind in _TIMES else ""
        bounds = self.bound_texts.items()
        return tuple((f"{FIELD}.{self.kind}.{rule}{within}", text) for rule, text in bounds if (rule, text) != ("min_len", "0"))

    def text(self, value: float) -> str:
        """A value as it stands in a comment: `4.3`, `2026-01-31`, `1d2h`."""
        if self.kind == "duration":
            return _length(value)
        return datetime.fromtimestamp(value, UTC).date().isoformat() if self.kind == "timestamp" else number_text(value)


def range_in_comment(kind: str, comment: str, column: str = "", *, outliers: bool = False) -> Range | None:
    """The range in the sentence of a comment; None without one."""
    found = SEEN.search(" ".join(comment.split()))
    if found is None:
        return None
    integers = dict.fromkeys(("int64", "uint64", "string"), int)
    readers: dict[str, Callable[[str], float]] = {"timestamp": seconds, "duration": _seconds, **integers}
    read = readers.get(kind, float)
    try:
        low, high = read(found["low"]), read(found["high"])
    except ValueError:
        return None
    return Range(kind, low, high, column, outliers) if low <= high else None


def range_of(kind: str, values: Sequence[float], column: str = "", *, outliers: bool = False) -> Range:
    """The range of some values, rounded as its sentence rounds it; of texts, `values` are the lengths."""
    low, high = (round(value, 6) if kind == "duration" else value for value in (min(values), max(values)))
    if kind == "double":
        room = high - low or abs(high)
        low, high = _outwards(low, room, ROUND_FLOOR), _outwards(high, room, ROUND_CEILING)
    return Range(kind, low, high, column, outliers)


def _outwards(value: float, room: float, rounding: str) -> float:
    """The value, if its digits are few, or else rounded to a thousandth of `room`."""
    exact = Decimal(repr(float(value)))
    if len(exact.normalize().as_tuple().digits) <= _FEW_DIGITS or not 0 < room < math.inf:
        return value
    step = Decimal(1).scaleb(math.floor(math.log10(room)) - 3)
    return float(exact.quantize(step, rounding, _EXACT))


def _length(value: float) -> str:
    """Seconds as `1d2h`, `4m29s` or `0s`."""
    if math.isinf(value):
        return number_text(value)
    left, parts = abs(value), []
    for unit in ("d", "h", "m"):
        whole, left = divmod(left, _UNITS[unit])
        parts += [f"{int(whole)}{unit}"] if whole else []
    rest = f"{left:.6f}".rstrip("0").rstrip(".")
    parts += [f"{rest}s"] if rest != "0" or not parts else []
    return "-" * (value < 0) + "".join(parts)


def _seconds(text: str) -> float:
    """Reads what `_length` writes. Raises ValueError for other text."""
    found = _LENGTH.fullmatch(text)
    if found is None or not any(found[unit] for unit in _UNITS):
        raise ValueError(text)
    return sum(float(found[unit] or 0) * count for unit, count in _UNITS.items()) * (-1 if found["sign"] else 1)


def _step(room: float, unit: int) -> float:
    """A power of ten of `unit`, between a hundredth and a tenth of `room`."""
    return 10.0 ** (math.floor(math.log10(room / unit)) - 1) * unit if math.isfinite(room) else 1.0


def _unit(room: float) -> int:
    """The largest unit, in seconds, that fits into `room` ten times."""
    return next((unit for unit in _UNITS.values() if room >= 10 * unit), 1)


def _stepped(steps: int, step: float) -> float:
    """`steps` times `step`, without binary rounding errors."""
    return float(f"{steps * step:.12g}")


def _start_of(year: int) -> float:
    """The first second of a year, within the range of a Timestamp."""
    return datetime(max(year, 1), 1, 1, tzinfo=UTC).timestamp() if year <= MAXYEAR else _LAST_SECOND
