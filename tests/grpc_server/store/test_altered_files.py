"""Altered files and files that run code on loading are refused before they are loaded."""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import joblib
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from grpc_server.checks.add_model import add_model
from grpc_server.errors import ArtifactAltered, ModelUnloadable
from grpc_server.store.manifest import GOLDEN, MANIFEST
from grpc_server.store.repository import Repository
from tests.support.effort import tries
from tests.support.iris import COLUMNS
from tests.support.models.yes_or_no import X, Y
from tests.support.processes import refused


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
def test_damaged_version_is_refused(trained: Path, repository: Repository, damage: Callable[[Path], object], says: str) -> None:
    golden = (trained / "golden.jsonl").read_bytes()
    add_model(repository, trained / "model.joblib", "iris", COLUMNS, golden)
    damage(repository.root / "iris/1")
    with pytest.raises(ArtifactAltered, match=says):
        repository.read("iris", "1")


# `HYPOTHESIS_PROFILE=thorough python -m pytest -n 0 THIS_FILE` turns a thousand bits of each file.
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
def test_every_flipped_bit_is_detected(
    tmp_path: Path, repository: Repository, file: str, made: Callable[[], bytes] | None, accelerated: str
) -> None:
    """In a version of each format, reading fails after any bit was flipped."""
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


class TouchOnLoad:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.slow
def test_replaced_joblib_file_never_runs(trained: Path, repository: Repository, tmp_path: Path) -> None:
    add_model(repository, trained / "model.joblib", "iris", COLUMNS)
    canary = tmp_path / "canary"
    payload = tmp_path / "payload.joblib"
    joblib.dump(TouchOnLoad(canary), payload)
    joblib.load(payload)
    assert canary.exists(), "the payload must work, or the test proves nothing"
    canary.unlink()
    payload.replace(repository.root / "iris/1/model.joblib")
    code, stderr = refused(
        "grpc_server", models=str(repository.root), protos=str(Path("protos").resolve()), grpc_address="127.0.0.1:0"
    )
    assert code == 2
    assert "is not as it was added" in stderr
    assert not canary.exists()


def test_skops_file_with_untrusted_types_is_refused(tmp_path: Path, repository: Repository) -> None:
    file = tmp_path / "foreign.skops"
    file.write_bytes(skops.io.dumps({"run": TouchOnLoad(tmp_path / "canary")}))
    with pytest.raises(
        ModelUnloadable, match=r"types that skops does not trust: .*TouchOnLoad: save it with joblib, if you trust them$"
    ):
        add_model(repository, file, "foreign", ("a",))
    assert not (tmp_path / "canary").exists()
