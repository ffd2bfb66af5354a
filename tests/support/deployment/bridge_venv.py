"""The environment of the bridge's image, built by the Dockerfile's own lines and cached until one of their inputs changes."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.deployment.images import environment, stage
from tests.support.processes import ROOT

FOLDER = ROOT / ".tools/bridge-venv"
CONTEXT = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
"""Files and folders of the build context."""


class NoRegistry(Exception):
    """The package registry cannot be reached."""


def bridge_venv() -> Path:
    """The folder that the image has as /opt/foretell. Raises NoRegistry."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _built()


def _built() -> Path:
    made, packages, code = FOLDER / "made.json", _packages_key(), _code_key()
    before = json.loads(made.read_text()) if made.exists() else {}
    made.unlink(missing_ok=True)
    first = [] if before.get("packages") == packages else _instructions()[0]
    second = [] if not first and before.get("code") == code else _instructions()[1]
    if first:
        shutil.rmtree(FOLDER / "build", ignore_errors=True)
        shutil.rmtree(FOLDER / "opt", ignore_errors=True)
        (FOLDER / "opt").mkdir()
    if first or second:
        _copy_context()
    for line in (*first, *second):
        _run(line)
    made.write_text(json.dumps({"packages": packages, "code": code}))
    return FOLDER / "opt/foretell"


def _instructions() -> tuple[list[str], list[str]]:
    """The RUN lines before the code is copied, and the RUN lines after it."""
    instructions = stage("rest_bridge_build")
    copied = instructions.index(("COPY", ". ."))
    halves = instructions[:copied], instructions[copied:]
    before, after = ([text for name, text in half if name == "RUN"] for half in halves)
    return before, after


def _run(line: str) -> None:
    """Run a RUN line with the folders of the image replaced by ours. pip's cache stays on: it only saves time."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    settings = {name: _here(value) for name, value in environment(stage("rest_bridge_build"), path).items()}
    del settings["PIP_NO_CACHE_DIR"]
    shell = subprocess.run(
        ["sh", "-euc", _here(line)],
        cwd=FOLDER / "build",
        env=os.environ | settings | {"PIP_RETRIES": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if shell.returncode and "connection broken by" in shell.stderr:
        raise NoRegistry("the package registry cannot be reached")
    assert shell.returncode == 0, f"{line}\n{shell.stderr}"


def _here(text: str) -> str:
    return text.replace("/build", str(FOLDER / "build")).replace("/opt/", f"{FOLDER / 'opt'}/")


def _copy_context() -> None:
    for name in CONTEXT:
        source, target = ROOT / name, FOLDER / "build" / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _packages_key() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    inputs = [sys.version, stage("rest_bridge_build"), project["build-system"], project["dependency-groups"]]
    return _sha256([json.dumps(inputs).encode(), (ROOT / "constraints.txt").read_bytes()])


def _code_key() -> str:
    roots = [ROOT / name for name in CONTEXT]
    files = sorted(
        path for root in roots for path in (root, *root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts
    )
    return _sha256([part for path in files for part in (str(path.relative_to(ROOT)).encode(), path.read_bytes())])


def _sha256(parts: list[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
