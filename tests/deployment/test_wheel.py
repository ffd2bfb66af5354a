"""The wheel: its top-level names, its `.proto` files, and commands that run from it alone."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

PACKAGES = {"foretell", "foretell_contract", "foretell_lifecycle", "grpc_server", "rest_bridge"}

COMPILE = """
import sys
from pathlib import Path
from foretell_contract.contract import load
import foretell_contract, foretell_lifecycle, grpc_server, rest_bridge
print([service.full_name for service in load(Path(sys.argv[1])).services])
print(*(Path(package.__file__).parents[1] for package in (foretell_contract, foretell_lifecycle, grpc_server, rest_bridge)))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked; built offline by the back end that pip calls."""
    folder, unpacked = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("unpacked")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (built,) = folder.glob("foretell-*-py3-none-any.whl")
    zipfile.ZipFile(built).extractall(unpacked)
    return unpacked


@pytest.fixture
def iris(tmp_path: Path) -> Path:
    """A folder of contracts as a user has it: only his own files."""
    shutil.copytree(ROOT / "protos/iris/v1", tmp_path / "protos/iris/v1")
    return tmp_path / "protos"


def run(wheel: Path, folder: Path, *arguments: str) -> str:
    """Standard output of a fresh interpreter that imports from the wheel and site-packages, and skips `.pth` files: the editable
    install of this checkout is one.
    """
    installed = [path for path in sys.path if path.endswith("site-packages")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(wheel), *installed])}
    command = [sys.executable, "-S", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_top_level_names_are_the_packages(wheel: Path) -> None:
    names = {path.name for path in wheel.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == PACKAGES
    assert len(names) == len(PACKAGES) + 1


def test_every_proto_file_is_packed(wheel: Path) -> None:
    packed = wheel / "foretell_contract/protos"
    protos = {path.relative_to(ROOT / "protos") for path in (ROOT / "protos").rglob("*.proto")}
    assert protos
    assert {path.relative_to(packed) for path in packed.rglob("*.proto")} == protos


def test_contract_compiles_from_the_wheel(wheel: Path, iris: Path) -> None:
    services, origins = run(wheel, iris.parent, "-c", COMPILE, str(iris)).splitlines()
    assert services == "['iris.v1.IrisService']"
    assert origins.split() == [str(wheel)] * 4


def test_commands_run_from_the_wheel(wheel: Path, iris: Path) -> None:
    assert "serve" in run(wheel, iris.parent, "-m", "foretell", "--help")
    assert run(wheel, iris.parent, "-m", "foretell", "check").strip() == "Nothing is wrong."
