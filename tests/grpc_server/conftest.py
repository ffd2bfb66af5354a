"""Fixtures of several test modules: a transport, a repository, a model."""

from pathlib import Path
from typing import Any

import pytest

from grpc_server.store.repository import Repository


@pytest.fixture(params=["aio", "loop"])
def each_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once on each transport: the protocol is the same on both."""
    monkeypatch.setenv("FORETELL_SHELL", request.param)
    return str(request.param)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One whose folder is not there yet."""
    return Repository(tmp_path / "models")


@pytest.fixture
def logistic(tmp_path: Path) -> Path:
    """A model that skops can hold."""
    import joblib
    from sklearn.linear_model import LogisticRegression

    from tests.support.models.yes_or_no import X, Y

    file = tmp_path / "logistic.joblib"
    joblib.dump(LogisticRegression().fit(X, Y), file)
    return file


@pytest.fixture(scope="session")
def forest() -> Any:
    """The iris model for conversions, as trees."""
    from sklearn.ensemble import RandomForestClassifier

    from tests.support.models.accelerated_iris import X, Y

    return RandomForestClassifier(10, random_state=0).fit(X, Y)
