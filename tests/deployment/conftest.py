"""Containers of the compose file as processes, each in the Python environment of its image if that can be built here."""

import sys
from pathlib import Path

import pytest

from tests.support.deployment import bridge_venv as venv
from tests.support.deployment.containers import Open, Place, Walled, why_not_walled
from tests.support.processes import copy_models


@pytest.fixture(scope="session")
def bridge_venv() -> Path:
    """The folder that is /opt/foretell in the bridge's image."""
    try:
        return venv.bridge_venv()
    except venv.NoRegistry as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def homes() -> dict[str, Path]:
    """The Python environment of each service; the bridge gets ours if its own cannot be built."""
    ours = Path(sys.prefix)
    try:
        return {"grpc_server": ours, "rest_bridge": venv.bridge_venv()}
    except venv.NoRegistry:
        return {"grpc_server": ours, "rest_bridge": ours}


@pytest.fixture(scope="session")
def readable_models(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models in a folder that any user may read."""
    folder = tmp_path_factory.mktemp("mounted") / "models"
    copy_models(models, folder)
    folder.chmod(0o755)
    return folder


@pytest.fixture
def in_the_open(homes: dict[str, Path], readable_models: Path, tmp_path: Path) -> Open:
    """Containers as plain processes."""
    return Open(homes, readable_models, tmp_path)


@pytest.fixture
def walled(homes: dict[str, Path], readable_models: Path, tmp_path: Path) -> Walled:
    """Containers with a root of their own; skipped where this machine cannot make one."""
    if reason := why_not_walled():
        pytest.skip(reason)
    return Walled(homes, readable_models, tmp_path)


@pytest.fixture(params=["in_the_open", "walled"])
def place(request: pytest.FixtureRequest) -> Place:
    """Both, one after the other."""
    place: Place = request.getfixturevalue(request.param)
    return place
