"""Intervals: neighbours are joined, numbers are removed, sets are compared."""

import math
from typing import Any

import numpy as np
import pytest

from foretell_contract.rules.intervals import COUNTS, LINES, Intervals, Line

DOUBLES, FLOATS, INT32, UINT32 = (LINES[kind] for kind in ("double", "float", "int32", "uint32"))

AFTER_ONE = float(np.nextafter(np.float32(1), np.float32(2)))


@pytest.mark.parametrize(
    ("line", "parts", "joined"),
    [
        pytest.param(INT32, [(1, 2), (3, 4)], [(1, 4)], id="neighbours"),
        pytest.param(INT32, [(1, 2), (4, 5)], [(1, 2), (4, 5)], id="a-gap"),
        pytest.param(INT32, [(5, 9), (1, 6), (2, 3)], [(1, 9)], id="overlaps"),
        pytest.param(INT32, [(3, 2)], [], id="empty"),
        pytest.param(UINT32, [(-math.inf, math.inf)], [(0, 2**32 - 1)], id="the-whole-line"),
        pytest.param(COUNTS, [(-3, 2)], [(0, 2)], id="cut-off"),
        pytest.param(DOUBLES, [(0.0, 1.0), (math.nextafter(1, 2), 2.0)], [(0.0, 2.0)], id="neighbouring-doubles"),
        pytest.param(DOUBLES, [(0.0, 1.0), (AFTER_ONE, 2.0)], [(0.0, 1.0), (AFTER_ONE, 2.0)], id="doubles-between-floats"),
        pytest.param(FLOATS, [(0.0, 1.0), (AFTER_ONE, 2.0)], [(0.0, 2.0)], id="neighbouring-floats"),
    ],
)
def test_neighbouring_parts_are_joined(line: Line, parts: list[Any], joined: list[Any]) -> None:
    assert Intervals.of(line, parts).parts == tuple(joined)


def test_number_is_removed_exactly() -> None:
    assert Intervals.of(INT32, [(1, 3)]).without([2]).parts == ((1, 1), (3, 3))
    assert Intervals.of(FLOATS, [(1.0, 2.0)]).without([1.0]).parts == ((AFTER_ONE, 2.0),)
    infinite = Intervals.everything(DOUBLES).without([math.inf, -math.inf])
    assert math.inf not in infinite
    assert -math.inf not in infinite
    assert 1.7976931348623157e308 in infinite


def test_set_operations() -> None:
    small, large = Intervals.of(INT32, [(1, 2), (5, 6)]), Intervals.of(INT32, [(0, 3), (5, 9)])
    assert small <= large
    assert not large <= small
    assert (small & large).parts == small.parts
