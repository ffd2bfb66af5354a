"""Scales that a column evidently has by its name: hours, months, percentages, ..."""

import re

from foretell_contract.source.spelling import snake

_SCALES: dict[str, tuple[tuple[int, int], ...]] = {
    r"hour(_of_day)?": ((0, 23), (1, 24)),
    r"(minute|second)": ((0, 59),),
    r"(weekday|week_day|day_?of_?(the_)?week|dow)": ((0, 6), (1, 7)),
    r"(day|day_?of_?(the_)?month)": ((1, 31),),
    r"(day_?of_?(the_)?year|yday|doy)": ((1, 366),),
    r"(week|week_?of_?(the_)?year)": ((1, 53), (0, 53)),
    r"(month|month_of_year)": ((1, 12), (0, 11)),
    r"quarter": ((1, 4),),
    r"year": ((1900, 2100),),
}
"""Scales of whole numbers, the usual one first, by a pattern of the last words of a column's name."""

_MEASURES: dict[str, tuple[tuple[int, int], ...]] = {
    r"(percent|percentage|pct)": ((0, 100),),
    r"(probability|proportion|fraction)": ((0, 1),),
    r"(lat|latitude)": ((-90, 90),),
    r"(lon|lng|longitude)": ((-180, 180), (0, 360)),
}
"""The same for all numbers."""


def scale_of(column: str, low: float, high: float, *, whole: bool) -> tuple[int, int] | None:
    """The least and largest value of a column by its name, if the data from `low` to `high` keeps to it; else None.

    Data from 0 to 1 is a flag or a share by itself.
    """
    if (low, high) == (0, 1) or (whole and low >= 0 and high <= 1):
        return 0, 1
    name = snake(column, "column")
    for pattern, scales in (_SCALES | _MEASURES if whole else _MEASURES).items():
        if re.search(rf"(?:^|(?<!per)_){pattern}$", name):
            return next((scale for scale in scales if scale[0] <= low and high <= scale[1]), None)
    return None
