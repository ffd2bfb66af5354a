"""Suggestions for misspelt names."""

import pytest

from foretell_contract.source.spelling import did_you_mean
from tests.support.iris import COLUMNS


@pytest.mark.parametrize("name", ["petalWidth", "petal_widht", "Petal_Width", "petal-width", "petal_width_cm"])
def test_close_name_is_suggested(name: str) -> None:
    assert did_you_mean(name, COLUMNS) == '; did you mean "petal_width"?'


@pytest.mark.parametrize("name", ["", "colour", "x" * 100_000, "\ud800", "😀"])
def test_distant_name_is_not_suggested(name: str) -> None:
    assert did_you_mean(name, COLUMNS) == ""
