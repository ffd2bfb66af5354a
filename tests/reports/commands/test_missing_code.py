"""A model whose class or module is not there is refused in one line that names it, by `init`, `add` and `check`."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foretell.cli import app
from foretell_contract.errors import SetupError
from tests.support.processes import ANY_PORT, ROOT, refused

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
    """The output of a command in `folder`, without the model's classes in memory; `path` is the caller's PYTHONPATH."""
    with fresh_imports(folder, path):
        done = CliRunner().invoke(app, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit | SetupError)
    return f"{done.output}{done.exception or ''}\n"


def train(folder: Path, path: Path | None = None) -> None:
    with fresh_imports(folder, path):
        runpy.run_path("train.py", run_name="__main__")


@contextmanager
def fresh_imports(folder: Path, path: Path | None) -> Iterator[None]:
    """Works in `folder`, and imports from `path`; forgets afterwards which modules were imported."""
    before = dict(sys.modules)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.syspath_prepend(path or folder)
        yield
    for name in sys.modules.keys() - before.keys():
        if name.partition(".")[0] in ("mypkg", "nopackage"):
            del sys.modules[name]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of a package with the transformer, with which a model was trained in `tmp_path`."""
    folder = tmp_path / "lib/mypkg"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "steps.py").write_text(STEPS)
    (tmp_path / "train.py").write_text(f"from mypkg.steps import Half\n{TRAIN}")
    train(tmp_path, folder.parent)
    return folder


def test_missing_module_is_named_at_each_command(tmp_path: Path, package: Path) -> None:
    """mlflow/mlflow#5178."""
    needs = "the joblib artifact needs `mypkg.steps` (module not found)"
    fix = "install it, or set PYTHONPATH"
    init, add = ("init", "m.joblib", "--columns", "a,b"), ("add", "m.joblib", "--name", "m")
    assert f"{needs}: {fix}\n" in run(tmp_path, *init)
    assert f"{needs}: {fix}\n" in run(tmp_path, *add, "--columns", "a,b")
    assert "added m version 1 as joblib" in run(tmp_path, *init, path=package.parent)
    assert f"{needs}. Fix: {fix}." in run(tmp_path, "check")
    folders = {"models": str(tmp_path / "models"), "protos": str(tmp_path / "protos")}
    assert needs in refused("grpc_server", grpc_address=ANY_PORT, **folders)[1]


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
    assert message in run(tmp_path, "init", "m.joblib", "--columns", "a,b", path=package.parent)


def test_class_of_the_training_script_is_named(tmp_path: Path) -> None:
    """joblib/joblib#659, ageron/handson-ml#540."""
    (tmp_path / "train.py").write_text(STEPS + TRAIN)
    train(tmp_path)
    message = "the joblib artifact needs `Half` of the training script: move it into a module, import it from there, and train"
    assert message in run(tmp_path, "init", "m.joblib", "--columns", "a,b")


def save(folder: Path, model: Path, package: Path) -> None:
    """A folder as MLflow saves it with `code_paths`."""
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: m.joblib\n    code: code\n")
    shutil.copy(model, folder / "m.joblib")
    shutil.copytree(package, folder / "code" / package.name)


def test_code_that_mlflow_saved_is_stored_with_the_version(tmp_path: Path, package: Path) -> None:
    """mlflow/mlflow#14145: `code_paths` copies the modules to the folder `code` beside the model."""
    save(tmp_path / "saved", tmp_path / "m.joblib", package)
    assert "added saved version 1 as joblib" in run(tmp_path, "init", "saved", "--columns", "a,b")
    shutil.rmtree(tmp_path / "saved")
    assert "mypkg.steps" not in run(tmp_path, "check")
    assert "code.zip" in (tmp_path / "models/saved/1/manifest.json").read_text()
    (tmp_path / "models/saved/1/code.zip").write_bytes(b"else")
    assert "code.zip is not as it was added" in run(tmp_path, "check")


VERSIONS = """
from pathlib import Path
from grpc_server.store.repository import Repository
one, two = (Repository(Path("models")).read("saved", version).load() for version in "12")
print([runtime.estimator.steps[0][1].transform(8.0) for runtime in (one, two)])
import mypkg.steps
print(mypkg.steps.__file__)
"""


def test_versions_keep_their_own_code(tmp_path: Path, package: Path) -> None:
    """mlflow/mlflow#5923, mlflow/mlflow#12377: the second model got the modules of the first."""
    save(tmp_path / "first", tmp_path / "m.joblib", package)
    (package / "steps.py").write_text(STEPS.replace("rows / 2", "rows / 4"))
    save(tmp_path / "second", tmp_path / "m.joblib", package)
    (package / "steps.py").write_text(STEPS.replace("rows / 2", "rows / 8"))
    for saved in ("first", "second"):
        run(tmp_path, "add", saved, "--name", "saved", "--columns", "a,b", path=package.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (package.parent, ROOT)))}
    done = subprocess.run(
        [sys.executable, "-c", VERSIONS], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"[4.0, 2.0]\n{package / 'steps.py'}\n"
