"""The wheel holds the whole client only, and works on the oldest runtimes that it allows."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from clients.generate import CONSTRAINTS
from tests.support.processes import ROOT, Foretell

pytestmark = pytest.mark.slow

PROJECT = ROOT / "clients/python"

PROGRAM = """
import asyncio, sys
import google.protobuf, grpc
from foretell_client import AsyncIrisClient, Features, InvalidFeatures, IrisClient
flower = Features(sepal_length=0.2, sepal_width=0.5, petal_length=0.8, petal_width=1.0)
target = sys.argv[1]
with IrisClient.connect(target) as iris:
    iris.predict(flower)
    try:
        iris.predict(Features(sepal_length=2))
    except InvalidFeatures as error:
        print("sync", len(error.violations), bool(error.request_id))
async def main():
    async with AsyncIrisClient.connect(target) as iris:
        await iris.predict_batch([flower])
        try:
            async for _ in iris.predict_stream([flower, Features(sepal_length=2)]):
                pass
        except InvalidFeatures as error:
            print("async", len(error.violations), error.index)
asyncio.run(main())
print(grpc.__version__, google.protobuf.__version__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built by the build backend that pip uses."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=100)
    (built,) = folder.glob("foretell_client-*-py3-none-any.whl")
    return zipfile.ZipFile(built)


def test_wheel_holds_exactly_the_package(wheel: zipfile.ZipFile) -> None:
    sources = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "foretell_client").rglob("*") if path.is_file()}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in sources if not name.endswith(".pyc")}
    assert {"foretell_client/py.typed", "foretell_client/stubs/iris/v1/iris_pb2.pyi"} <= packed


def test_wheel_works_on_oldest_runtimes(wheel: zipfile.ZipFile, oldest: Path, running: Foretell, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    done = subprocess.run(
        [oldest, "-W", "error", "-c", PROGRAM, running.grpc],
        cwd="/",
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["sync 4 True", "async 4 1", f"{pinned()['grpcio']} {pinned()['protobuf']}"]


def test_lower_bounds_are_the_tested_versions() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    bounds = dict(dependency.split(">=") for dependency in project["dependencies"])
    for name, bound in bounds.items():
        assert pinned()[name] == bound or pinned()[name] == f"{bound}.0", name


def pinned() -> dict[str, str]:
    return dict(re.findall(r"^(\S+)==(\S+)$", CONSTRAINTS.read_text(), re.MULTILINE))
