"""The loop transport and the channels on the oldest and the newest grpcio that pyproject.toml allows."""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import grpc
import pytest

from tests.support.effort import THOROUGH
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

COMPANIONS = ("grpcio-health-checking", "grpcio-reflection", "grpcio-status")
"""Refuse a grpcio older than themselves; not every patch of grpcio has one of its own."""
CHANNELS = "tests/foretell/serve/test_local_channel.py"
PROTOCOL = [f"tests/grpc_server/transport/{name}.py" for name in ("test_protocol", "test_streams")]
SOME = "stream or wait or deadline or cancelled or full_queue or limit or metadata"
"""Tests in which the queue's events come in another order than in a plain call; a thorough run takes all."""


def allowed() -> str:
    """The range in pyproject.toml."""
    dependencies: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (found,) = (text for text in dependencies if re.match("grpcio[<>=]", text))
    return found


def oldest() -> str:
    """The first release of the range."""
    found = re.search(r">=([\d.]+)", allowed())
    assert found
    return found[1] if found[1].count(".") == 2 else f"{found[1]}.0"


def newest() -> str:
    """The newest release of the range in the package index; empty without an index."""
    options = ["--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--report=-", "--disable-pip-version-check"]
    done = python(Path(), "-m", "pip", "install", *options, allowed())
    return "" if done.returncode else str(json.loads(done.stdout)["install"][0]["metadata"]["version"])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", [oldest, newest])
def test_protocol_holds_on_each_end_of_range(end: object) -> None:
    version = oldest() if end is oldest else newest()
    if version == grpc.__version__:
        pytest.skip(f"all other tests run on grpcio {version}")
    folder = ROOT / ".tools" / f"grpcio-{version}-{sys.implementation.cache_tag}"
    if not version or not (folder.is_dir() or installed(version, folder)):
        pytest.skip(f"grpcio {version} cannot be installed on this machine")
    check = (
        "import foretell_lifecycle.grpc_polling, grpc; "
        "from grpc_server.transport.loop_check import loop_works; print(grpc.__version__, loop_works())"
    )
    checked = python(folder, "-c", check)
    assert (checked.stdout.split(), checked.stderr) == ([version, "True"], "")  # gRPC logs experiments that it does not know.
    chosen = "local or loop" if THOROUGH else f"local or loop and ({SOME})"
    tests = python(folder, "-m", "pytest", "-n", "0", "-q", "-k", chosen, CHANNELS, *PROTOCOL)
    assert tests.returncode == 0, tests.stdout


def installed(version: str, folder: Path) -> bool:
    """Install a grpcio into a folder of its own; false if the index does not have it."""
    wanted = [f"grpcio=={version}", *(f"{name}>=1.85.0,<={version}" for name in COMPANIONS)]
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        command = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", f"--target={fresh}/new", *wanted]
        if python(Path(), *command).returncode:
            return False
        os.rename(f"{fresh}/new", folder)
    return True


def python(first: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a folder before its packages, and without constraints on what pip may install."""
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"} | {"PYTHONPATH": str(first)}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
