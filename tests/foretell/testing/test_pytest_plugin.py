"""`pytest --foretell`: each check is a test; without the option, nothing of Foretell is imported."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Foretell

pytestmark = pytest.mark.slow

OWN = """
import sys

def test_of_the_user():
    assert {negation}any(name.partition(".")[0] in ("foretell_contract", "grpc_server", "grpc") for name in sys.modules)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_own.py").write_text(OWN.replace("{negation}", "not "))
    return tmp_path


def run(project: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "foretell.testing.pytest_plugin", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout + done.stderr


def test_plugin_is_registered_for_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"foretell": "foretell.testing.pytest_plugin"}
    assert not any(name.startswith("pytest") for name in project["dependencies"])


def test_without_the_option_nothing_is_imported(project: Path) -> None:
    code, output = run(project, "-q")
    assert (code, output.splitlines()[-1].split(" in ")[0]) == (0, "1 passed")


def test_each_check_can_be_selected(project: Path, running: Foretell) -> None:
    target = ("--foretell", "--foretell-target", running.grpc, "--foretell-rest", running.http)
    code, output = run(project, *target, "-v", "-k", "petal_width")
    assert code == 0
    assert "foretell::iris.v1.IrisService.Predict/petal_width/above-max PASSED" in output
    assert "collected 66 items / 54 deselected / 12 selected" in output


def test_failure_shows_request_and_replies_without_traceback(project: Path, running: Foretell) -> None:
    protos = project / "protos/iris/v1/iris.proto"
    protos.parent.mkdir(parents=True)
    text = (ROOT / "protos/iris/v1/iris.proto").read_text()
    protos.write_text(text.replace("double.gte = 0,", "double.gte = 0.1,", 1))
    target = ("--foretell", "--foretell-target", running.grpc, "--foretell-protos", str(project / "protos"))
    code, output = run(project, *target, "-k", "sepal_length and below")
    assert code == 1
    assert "expected a refusal with double.gte_lte at sepal_length" in output
    assert "0.09999999999999999" in output
    assert "verifier.py" not in output


def test_setup_error_is_a_usage_error(project: Path) -> None:
    code, output = run(project, "--foretell", "--foretell-protos", "nowhere")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert output.strip().endswith("\nERROR: --foretell: no folder of contracts at nowhere: create it or pass --foretell-protos")
