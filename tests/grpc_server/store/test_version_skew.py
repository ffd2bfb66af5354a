"""Models trained with another scikit-learn: refused by `add`, at the gates and at a start, unless allowed."""

import re
import warnings
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from foretell.check.check_command import check
from foretell_contract.contract import Contract
from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelUnloadable
from grpc_server.store.repository import Repository
from grpc_server.store.version_skew import check_skew
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models import candidates
from tests.support.models.candidates import promote
from tests.support.processes import refused
from tests.support.servers.drafted_models import init, refusal
from tests.support.servers.served_models import opened, production_of, promote_and_settle

pytestmark = pytest.mark.slow

HERE = version("scikit-learn")
MAJOR, MINOR, *_ = HERE.split(".")
PATCH = f"{MAJOR}.{MINOR}.99"
FIX = r"was trained with scikit-learn 1\.2\.3, but \d\S* is installed: pip install 'scikit-learn==1\.2\.3', train it again"
X = np.random.default_rng(0).random((60, 4))
MODEL = LogisticRegression().fit(X, np.array(CLASSES)[np.arange(60) % 3])
OLD = {"libraries": {"scikit-learn": "1.2.3"}}


class Old(LogisticRegression):
    """Pickles as a LogisticRegression fitted by another version."""

    def __init__(self, fitted_with: str) -> None:
        self.fitted_with = fitted_with

    def __reduce__(self) -> tuple[Any, ...]:
        return LogisticRegression, (), MODEL.__getstate__() | {"_sklearn_version": self.fitted_with}


def saved(folder: Path, fitted_with: str, suffix: str = ".joblib") -> Path:
    file = folder / f"model{suffix}"
    if suffix == ".skops":
        with ZipFile(BytesIO(skops.io.dumps(MODEL))) as old, ZipFile(file, "w") as new:
            for name in old.namelist():
                new.writestr(name, old.read(name).replace(HERE.encode(), fitted_with.encode()))
        return file
    joblib.dump(Old(fitted_with), file)
    return file


@pytest.mark.parametrize(
    ("recorded", "passes"),
    [(HERE, True), (PATCH, True), (f"{MAJOR}.{MINOR}rc1", False), (f"{MAJOR}.0.1", False), (f"0.{MINOR}.0", False), (None, True)],
)
def test_only_patch_versions_may_differ(recorded: str | None, passes: bool) -> None:
    libraries = {"numpy": "1.0.0"} | ({"scikit-learn": recorded} if recorded else {})
    for format_name in ("joblib", "skops"):
        if passes:
            check_skew(format_name, libraries, "m", allowed=False)
        else:
            with pytest.raises(ModelUnloadable, match=f"^m was trained with scikit-learn {recorded}, but {HERE} is installed"):
                check_skew(format_name, libraries, "m", allowed=False)
        check_skew(format_name, libraries, "m", allowed=True)
    check_skew("onnx", libraries, "m", allowed=False)


@pytest.mark.parametrize("suffix", [".joblib", ".skops"])
def test_skewed_file_needs_permission_to_add(tmp_path: Path, suffix: str) -> None:
    repository = Repository(tmp_path / "models")
    file = saved(tmp_path, "1.2.3", suffix)
    with pytest.raises(ModelUnloadable, match=FIX):
        add_model(repository, file, "iris", COLUMNS)
    assert repository.versions("iris") == []
    add_model(repository, file, "iris", COLUMNS, allow_version_skew=True)
    manifest = repository.manifest("iris", "1")
    assert (manifest.format, manifest.libraries["scikit-learn"]) == ("skops", "1.2.3")


def test_patch_version_is_recorded(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "models")
    add_model(repository, saved(tmp_path, PATCH), "iris", COLUMNS)
    assert repository.manifest("iris", "1").libraries["scikit-learn"] == PATCH


def test_unloadable_pickle_names_its_scikit_learn(tmp_path: Path) -> None:
    joblib.dump([Old("1.2.3"), candidates.CallsOnLoad(explode)], tmp_path / "model.joblib")
    with pytest.raises(
        ModelUnloadable, match=r"does not load \(AttributeError\): it was fitted with scikit-learn 1\.2\.3, so install"
    ):
        add_model(Repository(tmp_path), tmp_path / "model.joblib", "iris", COLUMNS)


def explode() -> None:
    raise AttributeError("gone")


@pytest.mark.slow
def test_skewed_promotion_is_refused_at_gate(tmp_path: Path, contract: Contract) -> None:
    candidates.add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    skewed = candidates.add(tmp_path, candidates.Pickled(0.5), **OLD)
    for allowed in (False, True):
        with opened(tmp_path, contract, allow_version_skew=allowed) as served:
            promote_and_settle(served, tmp_path, skewed)
            if allowed:
                assert (served.last_refusal, production_of(served)) == (None, skewed)
            else:
                assert served.last_refusal is not None
                assert (served.last_refusal.version, served.last_refusal.gate, production_of(served)) == (skewed, "load", "1")
                assert "model 'iris' version 2 was trained with scikit-learn 1.2.3" in served.last_refusal.reason


def test_start_and_check_refuse_skew_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates.add(tmp_path, candidates.Pickled(0.5), **OLD)
    settings = {"models": str(tmp_path), "protos": str(Path("protos").resolve()), "grpc_address": "127.0.0.1:0"}
    code, stderr = refused("grpc_server", **settings)
    assert (code, stderr.count("\n")) == (2, 1)
    (found,) = check(Path("protos"), tmp_path, "iris")
    assert found.is_error
    assert found.problem.reason in stderr
    monkeypatch.setenv("FORETELL_ALLOW_VERSION_SKEW", "true")
    (found,) = check(Path("protos"), tmp_path, "iris")
    assert not found.is_error
    assert "was added with scikit-learn 1.2.3" in found.problem.reason


def without_later_parameters(estimator: Any) -> Any:
    """As a version before 1.4 saved it (sapientml/core#93): trees have no `monotonic_cst`."""
    for part in (estimator, *getattr(estimator, "estimators_", ())):
        vars(part).pop("monotonic_cst", None)
    return estimator


@pytest.mark.parametrize("estimator", [DecisionTreeClassifier(), RandomForestClassifier(5), ExtraTreesRegressor(5)])
def test_model_of_an_older_version_is_served_if_that_is_allowed(tmp_path: Path, estimator: Any) -> None:
    """`init` passes the flag to each of its checks."""
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = without_later_parameters(estimator.fit(frame, np.arange(60) % 3))
    frame.to_csv(tmp_path / "data.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        assert "set FORETELL_ALLOW_VERSION_SKEW=true" in refusal(tmp_path, "m", Aged(model), "--data", tmp_path / "data.csv")
        done = init(tmp_path, "m", Aged(model), "--data", tmp_path / "data.csv", "--allow-version-skew")
        assert done.exit_code == 0
        expected = [each.problem.reason for each in check(tmp_path / "protos", tmp_path / "models", "m")]
        assert ["was trained with scikit-learn 1.2.3" in reason for reason in expected] == [True]
        assert not [each for each in check(tmp_path / "protos", tmp_path / "models", "m", allow_version_skew=True) if each.is_error]


class Aged:
    """Pickles as an estimator that scikit-learn 1.2.3 saved."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def __reduce__(self) -> tuple[Any, ...]:
        kind, state = type(self.estimator), dict(self.estimator.__getstate__()) | {"_sklearn_version": "1.2.3"}
        return kind.__new__, (kind,), state


def outdated(_rows: Any) -> Any:
    """Fails as an estimator does whose attribute has another name in this version."""
    raise AttributeError("no attribute '_later'")


def test_failure_of_an_older_model_names_the_version_to_install(tmp_path: Path) -> None:
    model, data = make_pipeline(FunctionTransformer(), MODEL).fit(X, np.arange(60) % 3), tmp_path / "data.csv"
    model[0].func = outdated
    pd.DataFrame(X, columns=["a", "b", "c", "d"]).to_csv(data, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        message = refusal(tmp_path, "m", Aged(model), "--data", data, "--allow-version-skew")
    assert re.search(r"m.joblib cannot answer row \d+ of the data \(AttributeError: no attribute '_later'\)", message)
    assert message.endswith("it was fitted with scikit-learn 1.2.3, so install that, or train it again")
