"""The containers of the compose file as processes, each with the Python environment of its image where that can be made."""

import sys
from pathlib import Path

import pytest

from tests.support.deployment import bridge_venv as venv
from tests.support.deployment.containers import Open, Place, Walled, why_not_walled
from tests.support.processes import copy_models


@pytest.fixture(scope="session")
def bridge_venv() -> Path:
    """What the bridge's image has as /opt/foretell."""
    try:
        return venv.bridge_venv()
    except venv.NoRegistry as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def homes() -> dict[str, Path]:
    """The Python environment of each service; for the bridge, ours where its own cannot be made."""
    ours = Path(sys.prefix)
    try:
        return {"grpc_server": ours, "rest_bridge": venv.bridge_venv()}
    except venv.NoRegistry:
        return {"grpc_server": ours, "rest_bridge": ours}


@pytest.fixture(scope="session")
def readable_models(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models in a folder that any user may enter, as `mkdir` makes it."""
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
    """Containers behind walls, where this machine can build them."""
    if reason := why_not_walled():
        pytest.skip(reason)
    return Walled(homes, readable_models, tmp_path)


@pytest.fixture(params=["in_the_open", "walled"])
def place(request: pytest.FixtureRequest) -> Place:
    """Both, one after the other."""
    place: Place = request.getfixturevalue(request.param)
    return place
