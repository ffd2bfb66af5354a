"""The commands and a server without what only Linux has: the one test of other systems."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.support.iris import EXAMPLE
from tests.support.processes import ROOT, Foretell, foretell

pytestmark = pytest.mark.slow

HIDE = str(ROOT / "tests/support/no_linux")


@pytest.fixture(autouse=True)
def no_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide it from the processes that the test starts."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((HIDE, str(ROOT))))


def run(*arguments: str, cwd: Path = ROOT) -> str:
    """What `python` prints; fails if it fails."""
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_names_and_proc_are_hidden() -> None:
    code = "import os, signal; print(hasattr(os, 'sched_getaffinity'), hasattr(signal, 'SIGRTMIN'), os.path.exists('/proc'))"
    assert run("-c", code).split() == ["False", "False", "False"]
    run("-c", "import pytest, pathlib\nwith pytest.raises(FileNotFoundError): pathlib.Path('/proc/self/comm').read_text()")


def test_foretell_imports() -> None:
    run("-c", "import foretell, foretell.runtimes, foretell.testing")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_commands_work(tmp_path: Path, trained: Path) -> None:
    folders = ["--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")]
    model = str(trained / "model.joblib")
    run("-m", "foretell", "init", model, "--package", "iris.v1", "--columns", "a,b,c,d", *folders)
    run("-m", "foretell", "check", *folders)
    run("-m", "foretell", "diff", str(ROOT / "protos"), str(ROOT / "protos"))
    run("-m", "foretell", "test", *folders)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("placement", ["inline", "process"])
def test_promotion_changes_the_version_that_answers(models: Path, tmp_path: Path, placement: str) -> None:
    root = tmp_path / "models"
    shutil.copytree(models / "iris" / "1", root / "iris" / "2")
    shutil.copytree(models / "iris", root / "iris", dirs_exist_ok=True)
    with foretell(root, "--placement", placement) as server:
        assert version(server) == "1"
        run("-m", "foretell", "promote", "iris", "2", "--models", str(root))
        assert version(server) == "2"
        assert server.stop() == 0


def version(server: Foretell) -> str:
    """The version that answers."""
    response = httpx2.post(f"{server.http}/predict", json=EXAMPLE)
    assert response.status_code == 200, response.text
    return str(response.headers["model-version"])
