"""Models on disk: added whole, verified before they are loaded, never changed."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from grpc_server.adding import add_model
from grpc_server.errors import ArtifactAltered, ModelError, ModelMismatch, ModelNotFound, ModelUnloadable
from grpc_server.manifest import GOLDEN, MANIFEST
from grpc_server.repository import Repository
from tests.effort import tries
from tests.iris import CLASSES, COLUMNS

X = np.random.default_rng(0).random((60, 2))
Y = np.where(X[:, 0] > X[:, 1], "yes", "no")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


@pytest.fixture
def logistic(tmp_path: Path) -> Path:
    """A model that skops can hold."""
    file = tmp_path / "logistic.joblib"
    joblib.dump(LogisticRegression().fit(X, Y), file)
    return file


def test_the_iris_model_becomes_joblib_because_skops_does_not_trust_its_types(trained: Path, repository: Repository) -> None:
    added = add_model(repository, trained / "model.joblib", "iris", COLUMNS)
    assert (added.version, added.format) == ("1", "joblib")
    assert added.why.startswith("skops does not trust sklearn.calibration.")
    bundle = repository.read("iris", "1")
    assert bundle.manifest.columns == COLUMNS
    assert bundle.manifest.classes == CLASSES
    assert bundle.artifact == (trained / "model.joblib").read_bytes()
    assert bundle.manifest.libraries["scikit-learn"]


def test_a_model_that_skops_can_hold_becomes_skops(logistic: Path, repository: Repository) -> None:
    added = add_model(repository, logistic, "yes", ("a", "b"))
    assert (added.format, added.why) == ("skops", "skops holds it without untrusted types")
    assert repository.read("yes", "1").manifest.artifact == "model.skops"


def test_a_skops_file_is_kept_as_it_is(tmp_path: Path, logistic: Path, repository: Repository) -> None:
    add_model(repository, logistic, "yes", ("a", "b"))
    file = tmp_path / "again.skops"
    file.write_bytes(repository.read("yes", "1").artifact)
    assert add_model(repository, file, "yes", ("a", "b")).why == "it is skops already"
    assert repository.read("yes", "2").artifact == file.read_bytes()


def test_versions_count_up_and_the_latest_is_by_number(logistic: Path, repository: Repository) -> None:
    for number in range(1, 11):
        assert add_model(repository, logistic, "yes", ("a", "b")).version == str(number)
    assert repository.latest("yes") == "10"
    assert repository.versions("yes")[:2] == ["1", "2"]


def test_folders_that_only_look_like_versions_are_none(logistic: Path, repository: Repository) -> None:
    add_model(repository, logistic, "yes", ("a", "b"))
    for name in ("01", "0", "-1", "\u0663", "2x"):
        (repository.root / "yes" / name).mkdir()
    assert repository.versions("yes") == ["1"]


def test_columns_that_are_named_twice_are_refused(logistic: Path, repository: Repository) -> None:
    with pytest.raises(ModelError, match=r"logistic.joblib: the name 'a' occurs twice among a, a"):
        add_model(repository, logistic, "yes", ("a", "a"))


def test_a_repository_that_cannot_be_written_is_named(logistic: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"cannot write to .*/file/yes: "):
        add_model(Repository(tmp_path / "file"), logistic, "yes", ("a", "b"))


def test_writers_at_the_same_time_each_get_a_version_of_their_own(logistic: Path, repository: Repository) -> None:
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: add_model(repository, logistic, "yes", ("a", "b")).version, range(16)))
    assert sorted(map(int, added)) == list(range(1, 17))
    for version in added:
        repository.read("yes", version)
    assert not list(repository.root.rglob(".adding-*"))


def test_a_writer_that_dies_leaves_nothing_that_could_be_served(repository: Repository, logistic: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from grpc_server import durable, repository as r\n"
        "from grpc_server.adding import add_model\n"
        "durable.sync = lambda folder: os._exit(9)\n"
        f"add_model(r.Repository(Path({str(repository.root)!r})), Path({str(logistic)!r}), 'yes', ('a', 'b'))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(Path.cwd())}, check=False)
    assert done.returncode == 9
    assert repository.versions("yes") == []
    assert add_model(repository, logistic, "yes", ("a", "b")).version == "1"


@pytest.mark.parametrize("name", ["", "Iris", "../iris", "a/b", "a..b", ".hidden", "a" * 65, "iris\n", "a b"])
def test_a_name_that_could_leave_the_folder_is_refused(repository: Repository, name: str) -> None:
    with pytest.raises(
        ModelError, match=r"'.*' is no name for a model: use lower-case letters, digits, '\.', '_' and '-', at most 64$"
    ):
        repository.versions(name)


def test_a_missing_model_and_a_missing_version_are_told_apart(repository: Repository, logistic: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no model 'yes' in .*: add one with `foretell add FILE --name yes`"):
        repository.latest("yes")
    add_model(repository, logistic, "yes", ("a", "b"))
    with pytest.raises(ModelNotFound, match="no version 7 of model 'yes'"):
        repository.read("yes", "7")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def set_columns(path: Path, **change: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda v: flip(v / "model.joblib"), "is not as it was added", id="one-bit"),
        pytest.param(lambda v: flip(v / GOLDEN), "is not as it was added", id="golden-bit"),
        pytest.param(lambda v: (v / "model.joblib").unlink(), "cannot be read", id="no-artifact"),
        pytest.param(lambda v: (v / MANIFEST).unlink(), "cannot be read", id="no-manifest"),
        pytest.param(lambda v: (v / MANIFEST).write_text("{"), "is not a manifest", id="cut-manifest"),
        pytest.param(
            lambda v: set_columns(v / MANIFEST, files={}),
            "manifest.json has no digest of model.joblib: add the model again$",
            id="no-digest",
        ),
        pytest.param(lambda v: set_columns(v / MANIFEST, files={"../x": ""}), "is not a manifest", id="path-in-manifest"),
        pytest.param(lambda v: set_columns(v / MANIFEST, surprise=1), "is not a manifest", id="unknown-entry"),
    ],
)
def test_a_damaged_version_is_refused(trained: Path, repository: Repository, damage: Callable[[Path], object], says: str) -> None:
    golden = (trained / "golden.jsonl").read_bytes()
    add_model(repository, trained / "model.joblib", "iris", COLUMNS, golden)
    damage(repository.root / "iris/1")
    with pytest.raises(ArtifactAltered, match=says):
        repository.read("iris", "1")


# `HYPOTHESIS_PROFILE=thorough python -m pytest -n 0 tests/grpc_server/test_repository.py` turns a thousand bits of each file.
FLIPS = tries(20, 1000)


def as_onnx() -> bytes:
    import skl2onnx

    graph = skl2onnx.to_onnx(LogisticRegression().fit(X, Y), X[:1], options={"zipmap": False})
    del graph.graph.output[0]
    return bytes(graph.SerializeToString())


def as_xgboost() -> bytes:
    import xgboost

    return bytes(xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(X, X[:, 0]).get_booster().save_raw("ubj"))


def as_lightgbm() -> bytes:
    import lightgbm

    model = lightgbm.LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1).fit(X, X[:, 0])
    return str(model.booster_.model_to_string()).encode()


def as_joblib() -> bytes:
    written = io.BytesIO()
    joblib.dump(CalibratedClassifierCV(LogisticRegression()).fit(X, Y), written)
    return written.getvalue()


def as_skops() -> bytes:
    return bytes(skops.io.dumps(LogisticRegression().fit(X, Y)))


@pytest.mark.parametrize(
    ("file", "made", "accelerated"),
    [
        ("model.joblib", as_joblib, ""),
        ("model.skops", as_skops, ""),
        ("model.onnx", as_onnx, ""),
        ("model.ubj", as_xgboost, ""),
        ("model.txt", as_lightgbm, ""),
        ("model.trees", None, "trees"),
    ],
)
def test_no_flip_of_a_single_bit_goes_unnoticed(
    tmp_path: Path, repository: Repository, file: str, made: Callable[[], bytes] | None, accelerated: str
) -> None:
    """A version of each format: whichever of its bits turns, nothing comes out that could be loaded."""
    if made:
        (tmp_path / file).write_bytes(made())
        add_model(repository, tmp_path / file, "m", ("a", "b"), classes=("no", "yes") if file == "model.onnx" else ())
    else:
        joblib.dump(RandomForestClassifier(3, random_state=0).fit(X, Y), tmp_path / "m.joblib")
        golden = b'{"features": {"a": 0.25, "b": 0.75}, "probabilities": {"no": 1.0, "yes": 0.0}}'
        add_model(repository, tmp_path / "m.joblib", "m", ("a", "b"), golden, acceleration=accelerated)  # type: ignore[arg-type]
    folder = repository.root / "m/1"
    assert (folder / file).exists()
    chance = random.Random(1)
    for path in [path for path in folder.iterdir() if path.name != MANIFEST]:
        good = path.read_bytes()
        for _ in range(FLIPS):
            bad = bytearray(good)
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
            path.write_bytes(bad)
            with pytest.raises(ArtifactAltered):
                repository.read("m", "1")
        path.write_bytes(good)
    repository.read("m", "1")


class Canary:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_an_exchanged_joblib_file_is_refused_before_it_can_run(trained: Path, repository: Repository, tmp_path: Path) -> None:
    add_model(repository, trained / "model.joblib", "iris", COLUMNS)
    canary = tmp_path / "canary"
    payload = tmp_path / "payload.joblib"
    joblib.dump(Canary(canary), payload)
    joblib.load(payload)
    assert canary.exists(), "the payload must work, or the test proves nothing"
    canary.unlink()
    payload.replace(repository.root / "iris/1/model.joblib")
    from tests.processes import refused

    code, stderr = refused(
        "grpc_server", models=str(repository.root), protos=str(Path("protos").resolve()), grpc_address="127.0.0.1:0"
    )
    assert code == 2
    assert "is not as it was added" in stderr
    assert not canary.exists()


def test_a_skops_file_with_foreign_types_is_refused_without_running_them(tmp_path: Path, repository: Repository) -> None:
    file = tmp_path / "foreign.skops"
    file.write_bytes(skops.io.dumps({"run": Canary(tmp_path / "canary")}))
    with pytest.raises(
        ModelUnloadable, match=r"types that skops does not trust: .*Canary: save it with joblib, if you trust them$"
    ):
        add_model(repository, file, "foreign", ("a",))
    assert not (tmp_path / "canary").exists()


UNFIT = "is no fitted estimator that predicts or transforms rows of a known number of columns: save one that is fitted and does"


@pytest.mark.parametrize(
    ("model", "columns", "says"),
    [
        (LogisticRegression().fit(X, Y), (), "does not name its 2 columns .*: pass --columns a,b,c"),
        (LogisticRegression().fit(X, Y), ("a",), "has 2 columns, its manifest names 1"),
        (DBSCAN().fit(X), ("a", "b"), f"^DBSCAN {UNFIT}$"),
        (LogisticRegression(), ("a", "b"), f"^LogisticRegression {UNFIT}$"),
        (TfidfVectorizer(), ("a",), f"^TfidfVectorizer {UNFIT}$"),
        ({"a": "dict"}, ("a",), f"^dict {UNFIT}$"),
    ],
)
def test_what_cannot_be_served_is_not_added(
    tmp_path: Path, repository: Repository, model: object, columns: tuple[str, ...], says: str
) -> None:
    file = tmp_path / "model.joblib"
    joblib.dump(model, file)
    with pytest.raises(ModelError, match=says):
        add_model(repository, file, "any", columns)
    assert repository.versions("any") == []


def test_files_that_are_no_models_are_refused(tmp_path: Path, repository: Repository) -> None:
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
    ("golden", "error", "says"),
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
def test_a_model_that_does_not_answer_its_golden_rows_is_not_added(
    logistic: Path, repository: Repository, golden: bytes, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        add_model(repository, logistic, "yes", ("a", "b"), golden)
    assert repository.versions("yes") == []
