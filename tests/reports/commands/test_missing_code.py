"""A model whose class or module is not there is refused in one line that names it, by `init`, `add` and `check`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

STEPS = """
from sklearn.base import BaseEstimator, TransformerMixin

class Half(TransformerMixin, BaseEstimator):
    def fit(self, rows, labels=None):
        self.n_features_in_ = 2
        return self

    def transform(self, rows):
        return rows / 2
"""

TRAIN = """
import sys
import joblib
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

rows = np.arange(20.0).reshape(10, 2)
joblib.dump(make_pipeline(Half(), LinearRegression()).fit(rows, rows[:, 0]), "m.joblib")
"""


def run(folder: Path, *arguments: str, path: Path | None = None) -> str:
    """The output of a command in `folder`, in a process that has not imported the model's classes; `path` is its PYTHONPATH."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, filter(None, (path, ROOT))))}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of a package with the transformer, with which a model was trained in `tmp_path`."""
    folder = tmp_path / "lib/mypkg"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "steps.py").write_text(STEPS)
    (tmp_path / "train.py").write_text(f"from mypkg.steps import Half\n{TRAIN}")
    run(tmp_path, "train.py", path=folder.parent)
    return folder


def test_missing_module_is_named_at_each_command(tmp_path: Path, package: Path) -> None:
    """mlflow/mlflow#5178."""
    needs = "the joblib artifact needs `mypkg.steps` (module not found)"
    fix = "install it, or set PYTHONPATH"
    init, add = ("-m", "foretell", "init", "m.joblib", "--columns", "a,b"), ("-m", "foretell", "add", "m.joblib", "--name", "m")
    assert f"{needs}: {fix}\n" in run(tmp_path, *init)
    assert f"{needs}: {fix}\n" in run(tmp_path, *add, "--columns", "a,b")
    assert "added m version 1 as joblib" in run(tmp_path, *init, path=package.parent)
    assert f"{needs}. Fix: {fix}." in run(tmp_path, "-m", "foretell", "check")
    assert needs in run(tmp_path, "-m", "foretell", "serve")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("import nopackage\n", "needs `nopackage` (module not found), which `mypkg.steps` imports: install it, or set PYTHONPATH"),
        ("", "needs `mypkg.steps.Half`, which the `mypkg` here does not have: install the one with which the model was trained"),
        ("1 / 0\n", "needs `mypkg.steps`, which cannot be imported (ZeroDivisionError: division by zero): repair that module"),
        (None, "needs `mypkg.steps` (module not found): install it, or set PYTHONPATH"),
    ],
    ids=["import", "class", "failure", "module"],
)
def test_what_is_missing_is_named(tmp_path: Path, package: Path, steps: str | None, message: str) -> None:
    (package / "steps.py").unlink()
    if steps is not None:
        (package / "steps.py").write_text(steps)
    assert message in run(tmp_path, "-m", "foretell", "init", "m.joblib", "--columns", "a,b", path=package.parent)


def test_class_of_the_training_script_is_named(tmp_path: Path) -> None:
    """joblib/joblib#659, ageron/handson-ml#540."""
    (tmp_path / "train.py").write_text(STEPS + TRAIN)
    run(tmp_path, "train.py")
    message = "the joblib artifact needs `Half` of the training script: move it into a module, import it from there, and train"
    assert message in run(tmp_path, "-m", "foretell", "init", "m.joblib", "--columns", "a,b")


def test_code_that_mlflow_saved_is_found(tmp_path: Path, package: Path) -> None:
    """mlflow/mlflow#14145: `code_paths` copies the modules to the folder `code` beside the model."""
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: m.joblib\n    code: code\n")
    (tmp_path / "m.joblib").rename(folder / "m.joblib")
    (folder / "code").mkdir()
    package.rename(folder / "code/mypkg")
    output = run(tmp_path, "-m", "foretell", "init", "saved", "--columns", "a,b")
    assert "added saved version 1 as joblib" in output
    assert "the joblib artifact needs `mypkg.steps` (module not found)" in run(tmp_path, "-m", "foretell", "check")
    assert "mypkg.steps" not in run(tmp_path, "-m", "foretell", "check", path=folder / "code")
