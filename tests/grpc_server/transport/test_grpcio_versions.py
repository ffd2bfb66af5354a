"""What stands on private parts of grpcio, on the oldest and the newest that pyproject.toml allows: any may change those."""

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

COMPANIONS = ("grpcio-health-checking", "grpcio-reflection", "grpcio-status")
"""Refuse a grpcio older than themselves; not every patch of grpcio has one of its own."""
CALLS = "tests/foretell/serve/test_local_channel.py"
PROTOCOL = [f"tests/grpc_server/{name}.py" for name in ("test_protocol", "test_streams")]
SOME = "stream or wait or deadline or cancelled or full_queue or limit or metadata"
"""Where the queue's events come in other orders than a call's plain one; the others are tried as well where there is time."""


def others() -> list[str]:
    """The ends of the range, without the version that all other tests run on."""
    dependencies: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (allowed,) = {found for text in dependencies if (found := re.fullmatch(r"grpcio>=([\d.]+),<=([\d.]+)", text))}
    return [version for version in allowed.groups() if version != grpc.__version__]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", others())
def test_loop_and_calls_keep_the_protocol_on_every_grpcio_that_is_allowed(version: str) -> None:
    folder = ROOT / ".tools" / f"grpcio-{version}"
    if not folder.is_dir() and not installed(version, folder):
        pytest.skip(f"grpcio {version} cannot be had on this machine")
    check = (
        "import foretell_lifecycle.polling, grpc; "
        "from grpc_server.transport.loop_check import loop_works; print(grpc.__version__, loop_works())"
    )
    tried = python(folder, "-c", check)
    assert (tried.stdout.split(), tried.stderr) == ([version, "True"], "")  # It complains of an experiment that it does not know.
    chosen = "direct or loop" if THOROUGH else f"direct or loop and ({SOME})"
    told = python(folder, "-m", "pytest", "-n", "0", "-q", "-k", chosen, CALLS, *PROTOCOL)
    assert told.returncode == 0, told.stdout


def installed(version: str, folder: Path) -> bool:
    """Put a grpcio into a folder of its own; whether it can be had."""
    wanted = [f"grpcio=={version}", *(f"{name}>=1.85.0,<={version}" for name in COMPANIONS)]
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        command = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", f"--target={fresh}/new", *wanted]
        if python(folder, *command).returncode:
            return False
        os.rename(f"{fresh}/new", folder)
    return True


def python(first: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(first)}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
