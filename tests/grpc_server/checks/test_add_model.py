"""Adding a model file: its format in the repository, and the files that are refused."""

import json
from pathlib import Path

import joblib
import pytest
from sklearn.cluster import DBSCAN
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelError, ModelMismatch, ModelUnloadable
from grpc_server.store.repository import Repository
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models.yes_or_no import X, Y, add_yes


def test_untrusted_types_stay_in_joblib(trained: Path, repository: Repository) -> None:
    added = add_model(repository, trained / "model.joblib", "iris", COLUMNS)
    assert (added.version, added.format) == ("1", "joblib")
    assert added.reason.startswith("skops does not trust sklearn.calibration.")
    bundle = repository.read("iris", "1")
    assert bundle.manifest.columns == COLUMNS
    assert bundle.manifest.classes == CLASSES
    assert bundle.artifact == (trained / "model.joblib").read_bytes()
    assert bundle.manifest.libraries["scikit-learn"]


def test_trusted_types_become_skops(logistic: Path, repository: Repository) -> None:
    added = add_yes(repository, logistic)
    assert (added.format, added.reason) == ("skops", "skops holds it without untrusted types")
    assert repository.read("yes", "1").manifest.artifact == "model.skops"


def test_skops_file_is_stored_as_it_is(tmp_path: Path, logistic: Path, repository: Repository) -> None:
    add_yes(repository, logistic)
    file = tmp_path / "again.skops"
    file.write_bytes(repository.read("yes", "1").artifact)
    assert add_yes(repository, file).reason == "it is skops already"
    assert repository.read("yes", "2").artifact == file.read_bytes()


def test_columns_named_twice_are_refused(logistic: Path, repository: Repository) -> None:
    with pytest.raises(ModelError, match=r"logistic.joblib: the name 'a' occurs twice among a, a"):
        add_model(repository, logistic, "yes", ("a", "a"))


UNFIT = "is no fitted estimator that predicts or transforms new rows: save one that is fitted and does"


@pytest.mark.parametrize(
    ("model", "columns", "message"),
    [
        (LogisticRegression().fit(X, Y), (), "does not name its 2 columns .*: pass --columns a,b,c"),
        (LogisticRegression().fit(X, Y), ("a",), "has 2 columns, its manifest names 1"),
        (DBSCAN().fit(X), ("a", "b"), f"^DBSCAN {UNFIT}$"),
        (LogisticRegression(), ("a", "b"), f"^LogisticRegression {UNFIT}$"),
        (TfidfVectorizer(), ("a",), f"^TfidfVectorizer {UNFIT}$"),
        ({"a": "dict"}, ("a",), f"^dict {UNFIT}$"),
    ],
)
def test_unusable_model_is_not_added(
    tmp_path: Path, repository: Repository, model: object, columns: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "model.joblib"
    joblib.dump(model, file)
    with pytest.raises(ModelError, match=message):
        add_model(repository, file, "any", columns)
    assert repository.versions("any") == []


def test_files_without_a_model_are_refused(tmp_path: Path, repository: Repository) -> None:
    text = tmp_path / "model.joblib"
    text.write_text("not a pickle")
    with pytest.raises(ModelUnloadable, match="the joblib artifact does not load"):
        add_model(repository, text, "any", ("a",))
    other = tmp_path / "model.exe"
    other.write_text("not a model")
    with pytest.raises(ModelError, match=r"model.exe is none of .skops, .joblib, .pkl"):
        add_model(repository, other, "any", ("a",))
    with pytest.raises(ModelError, match=r"cannot read .*: No such file or directory"):
        add_model(repository, tmp_path / "nowhere.skops", "any", ("a",))


def golden_line(**change: object) -> bytes:
    row = {"features": {"a": 0.9, "b": 0.1}, "probabilities": {"no": 0.0, "yes": 1.0}}
    return json.dumps(row | change).encode()


@pytest.mark.parametrize(
    ("golden", "error", "message"),
    [
        (golden_line(), ModelMismatch, r"gives no 0\.\d+ for golden row 1, expected 0.000000"),
        (golden_line(features={"a": 1.0}), ModelMismatch, "golden row 1 does not name exactly the columns and classes"),
        (golden_line(probabilities={"no": 1.0, "maybe": 0.0}), ModelMismatch, "golden row 1 does not name exactly"),
        (
            b"\n" + golden_line(features={"a": "1", "b": 1}),
            ModelError,
            "golden row 1: a is '1', but the column is float64",
        ),
        (b"{", ModelError, r'^golden rows, line 1: not JSON: write {"features": {\.\.\.}, "outputs": {\.\.\.}} there$'),
        (b"\xff\xfe", ModelError, "golden rows, line 1: not JSON"),
    ],
)
def test_failing_golden_rows_refuse_the_model(
    logistic: Path, repository: Repository, golden: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        add_yes(repository, logistic, golden)
    assert repository.versions("yes") == []
