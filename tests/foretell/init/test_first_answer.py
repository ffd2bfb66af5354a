"""The commands that `foretell init` prints lead to the first answer."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, foretell

pytestmark = pytest.mark.slow


def test_printed_commands_lead_to_an_answer(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "examples/iris/raw.py"), str(tmp_path)], check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "foretell", "init", "flower.joblib", "--data", "flower.csv", "--target", "species"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.stderr == ""
    check, serve, curl = (line.strip() for line in done.stdout.partition("next:\n")[2].splitlines())
    assert (check, serve) == ("foretell check flower", "foretell serve")
    with foretell(tmp_path / "models", "--protos", str(tmp_path / "protos")) as running:
        call = shlex.split(curl.replace("http://127.0.0.1:8000", running.http))
        answer = subprocess.run(call, check=True, capture_output=True, text=True)
    assert answer.stdout.startswith('{"species":"SPECIES_VERSICOLOR","setosa_probability":0.0')
