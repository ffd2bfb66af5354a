"""Conversions with few packages: a server that imports no scikit-learn, and a missing extra."""

import re
import subprocess
import sys
from typing import Any

import grpc
import pytest
from sklearn.ensemble import RandomForestClassifier

from foretell_contract.contract import Contract
from grpc_server.store.repository import Repository
from tests.conftest import ROOT
from tests.support.iris import COLUMNS, EXAMPLE
from tests.support.models.accelerated_iris import add, golden_rows
from tests.support.processes import grpc_server

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("format_name", ["onnx", "trees"])
def test_server_of_conversions_imports_no_scikit_learn(
    repository: Repository,
    contract: Contract,
    forest: RandomForestClassifier,
    format_name: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    add(repository, forest, format_name, contract, golden_rows(forest))
    monkeypatch.setenv("PYTHONVERBOSE", "1")  # The server lists every module on stderr as it imports it.
    (method,) = (method for method in contract.services[0].methods if method.name == "Predict")
    with grpc_server(repository.root) as (process, address), grpc.insecure_channel(address) as channel:
        answer: Any = method.response.FromString(
            channel.unary_unary(method.path)(method.request(**EXAMPLE).SerializeToString(), timeout=30)
        )
        process.terminate()
        process.wait(30)
    expected = forest.predict_proba([list(EXAMPLE.values())])[0]
    assert [answer.setosa_probability, answer.versicolor_probability, answer.virginica_probability] == pytest.approx(
        expected, abs=1e-6
    )
    imported = set(re.findall(r"^import '([^']+)' #", capfd.readouterr().err, re.MULTILINE))
    assert f"grpc_server.runtimes.formats.{format_name}_format" in imported
    foreign = {"sklearn", "scipy", "joblib", "skops", "onnx", "skl2onnx", "treelite", "pandas"}
    assert not {name for name in imported if name.partition(".")[0] in foreign}


def run_without(modules: tuple[str, ...], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m PROGRAM` as if some packages were not installed."""
    script = f"import runpy, sys; sys.modules |= dict.fromkeys({modules!r}); runpy.run_module({program!r}, run_name='__main__')"
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_missing_extra_is_named_with_its_fix(
    repository: Repository, contract: Contract, forest: RandomForestClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(repository, forest, "onnx", contract)
    monkeypatch.setenv("FORETELL_MODELS", str(repository.root))
    monkeypatch.setenv("FORETELL_GRPC_ADDRESS", "127.0.0.1:0")
    done = run_without(("onnxruntime",), "grpc_server")
    fix = "onnx needs onnxruntime, which is not installed: pip install 'foretell[onnx]'"
    assert (done.returncode, done.stderr) == (2, f"foretell: model 'iris' version 1: {fix} (gate load)\n")
    file = str(repository.root.parent / "model.joblib")
    arguments = ("add", file, "--name", "iris", "--columns", ",".join(COLUMNS), "--accelerate", "auto")
    done = run_without(("onnxruntime", "treelite"), "foretell", *arguments)
    assert done.returncode == 0
    missing = f"not accelerated: {fix}; trees needs treelite, which is not installed: pip install 'foretell[trees]'"
    assert done.stdout.splitlines()[-1] == missing
