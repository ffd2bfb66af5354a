"""The protocol is the same on every shell."""

import pytest


@pytest.fixture(params=["aio", "loop"])
def each_shell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Servers that the test starts take calls through this shell."""
    monkeypatch.setenv("FORETELL_SHELL", request.param)
    return str(request.param)
