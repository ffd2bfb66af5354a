"""The names that other packages import from `foretell.testing`."""

import pytest

import foretell.testing


@pytest.mark.parametrize("name", foretell.testing.__all__)
def test_public_name_is_imported_on_first_use(name: str) -> None:
    assert getattr(foretell.testing, name).__name__ == name


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'foretell.testing' has no attribute 'Kit'"):
        foretell.testing.Kit  # noqa: B018
