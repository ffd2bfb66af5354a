"""`foretell add` and `init` with folders saved by MLflow and addresses in an MLflow registry."""

import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from foretell_contract.source.spelling import snake
from grpc_server.store.manifest import Manifest
from grpc_server.store.repository import Repository
from tests.support.iris import CLASSES, COLUMNS
from tests.support.mlflow_registries import LocalRegistry, registry
from tests.support.processes import refused

pytestmark = pytest.mark.slow

__all__ = ["registry"]

ROWS = np.random.default_rng(0).uniform(0.1, 5, (30, 4))
MODEL = LogisticRegression(C=0.1).fit(ROWS, np.resize(CLASSES, 30))


def infer_signature(rows: pd.DataFrame, outputs: Any) -> Any:
    """MLflow's function, imported late because that takes a second."""
    from mlflow.models import infer_signature as inferred

    with warnings.catch_warnings(action="ignore"):
        return inferred(rows, outputs)


@pytest.fixture(autouse=True)
def tracking_uri(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)


@pytest.fixture(scope="module")
def folder(registry: LocalRegistry) -> Path:
    """A model of iris whose column names are in the signature only."""
    return registry.saved(MODEL, signature=infer_signature(pd.DataFrame(ROWS, columns=COLUMNS), MODEL.predict(ROWS)))


def add(root: Path, location: object, *options: str) -> Result:
    result = CliRunner().invoke(app, ["add", str(location), "--models", str(root), *options])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def manifest(root: Path, name: str) -> Manifest:
    return Repository(root).manifest(name, Repository(root).latest(name))


def test_folder_is_added_with_signature_columns(tmp_path: Path, folder: Path) -> None:
    assert "added iris version 1 as skops" in add(tmp_path, folder, "--name", "iris").output
    added = manifest(tmp_path, "iris")
    assert added.columns == COLUMNS
    assert added.classes == CLASSES
    assert added.source is None


def test_init_drafts_contract_from_folder(tmp_path: Path, folder: Path) -> None:
    options = ["--package", "flower.v1", "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")]
    assert CliRunner().invoke(app, ["init", str(folder), *options]).exit_code == 0
    features = load(tmp_path / "protos").pool.FindMessageTypeByName("flower.v1.Features")
    assert [field.name for field in features.fields] == list(COLUMNS)


@pytest.mark.parametrize(
    ("options", "names"),
    [([], ["height in cm", "weight"]), (["--target", "h,w"], ["h", "w"])],
    ids=["signature", "option"],
)
def test_targets_have_names_of_signature(tmp_path: Path, registry: LocalRegistry, options: list[str], names: list[str]) -> None:
    sizes = pd.DataFrame(ROWS[:, :2], columns=["height in cm", "weight"])
    model = LinearRegression().fit(ROWS, sizes)
    folder = registry.saved(model, signature=infer_signature(pd.DataFrame(ROWS, columns=COLUMNS), sizes))
    flags = ["--package", "size.v1", "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")]
    assert CliRunner().invoke(app, ["init", str(folder), *flags, *options]).exit_code == 0
    response = load(tmp_path / "protos").pool.FindMessageTypeByName("size.v1.Response")
    assert [field.name for field in response.fields] == [snake(name, "") for name in names]
    assert [target.name for target in manifest(tmp_path / "models", "size").targets] == names
    add(tmp_path / "models", folder, "--name", "size", *(["--targets", "h,w"] if options else []))
    assert [target.name for target in manifest(tmp_path / "models", "size").targets] == names
    assert CliRunner().invoke(app, ["check", "size", *flags[2:]]).exit_code == 0


def test_label_has_signature_name_missing_from_data(tmp_path: Path, registry: LocalRegistry) -> None:
    kinds = pd.Series(MODEL.predict(ROWS), name="kind")
    folder = registry.saved(MODEL, signature=infer_signature(pd.DataFrame(ROWS, columns=COLUMNS), kinds))
    pd.DataFrame(ROWS, columns=COLUMNS).to_csv(tmp_path / "rows.csv", index=False)
    options = ["--package", "flower.v1", "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")]
    assert CliRunner().invoke(app, ["init", str(folder), "--data", str(tmp_path / "rows.csv"), *options]).exit_code == 0
    response = load(tmp_path / "protos").pool.FindMessageTypeByName("flower.v1.Response")
    assert response.fields[0].name == "kind"


@pytest.mark.parametrize(
    "outputs", [np.ones((30, 2)), pd.DataFrame(np.ones((30, 2))), pd.DataFrame(np.ones((30, 3)), columns=[*"abc"])]
)
def test_unnamed_or_mismatched_outputs_are_ignored(tmp_path: Path, registry: LocalRegistry, outputs: Any) -> None:
    model = LinearRegression().fit(ROWS, ROWS[:, :2])
    folder = registry.saved(model, signature=infer_signature(pd.DataFrame(ROWS, columns=COLUMNS), outputs))
    add(tmp_path / "models", folder, "--name", "size")
    assert [target.name for target in manifest(tmp_path / "models", "size").targets] == ["0", "1"]


def boosters() -> Iterator[tuple[str, str, Callable[[Path], None]]]:
    """Yields a file name, the format that serves it, and a function by which MLflow saves it."""
    import lightgbm
    import mlflow.lightgbm
    import mlflow.xgboost
    import xgboost

    small: dict[str, Any] = {"n_estimators": 2, "n_jobs": 1}
    kinds = np.resize(range(3), 30)
    boosted = xgboost.XGBClassifier(**small).fit(ROWS, kinds)
    grown = lightgbm.LGBMClassifier(**small, verbose=-1).fit(ROWS, np.array(CLASSES)[kinds])
    facts: dict[str, Any] = {"pip_requirements": []}
    for form in ("ubj", "json", "xgb"):
        save = partial(mlflow.xgboost.save_model, boosted, model_format=form, **facts)
        yield f"model.{form}", "xgboost", lambda folder, save=save: save(path=str(folder))  # type: ignore[misc]
    yield "model.lgb", "lightgbm", lambda folder: mlflow.lightgbm.save_model(grown.booster_, str(folder), **facts)
    yield "model.skops", "joblib", lambda folder: mlflow.lightgbm.save_model(grown, str(folder), **facts)


@pytest.mark.filterwarnings("ignore")  # Warnings of MLflow and XGBoost.
def test_booster_folders_get_their_own_format(tmp_path: Path) -> None:
    naming = ["--columns", ",".join(COLUMNS), "--classes", ",".join(CLASSES)]
    for file, form, save in boosters():
        folder = tmp_path / file
        save(folder)
        assert (folder / file).is_file()
        assert f" as {form}: " in add(tmp_path / "models", folder, "--name", "iris", *naming).output
        assert manifest(tmp_path / "models", "iris").classes == CLASSES


def test_folder_of_unknown_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {}, pytorch: {model_data: data}}")
    with pytest.raises(SetupError) as refusal:
        add(tmp_path / "models", tmp_path, "--name", "iris")
    assert str(refusal.value) == (
        f"{tmp_path}/MLmodel names no model of scikit-learn, ONNX, XGBoost or LightGBM, but python_function, pytorch"
    )


@pytest.mark.parametrize("address", ["models:/by_name@champion", "models:/by_name/1", "models:/by_name/latest"])
def test_address_is_added_under_registry_name(tmp_path: Path, registry: LocalRegistry, folder: Path, address: str) -> None:
    known = {model.name for model in registry.client.search_registered_models()}
    version = "1" if "by_name" in known else registry.register("by_name", folder, "champion")
    assert "added by_name version 1 as skops" in add(tmp_path, address).output
    source = manifest(tmp_path, "by_name").source
    assert source is not None
    assert source.address == f"models:/by_name/{version}"


def test_latest_is_newest_version_with_own_id(tmp_path: Path, registry: LocalRegistry, folder: Path) -> None:
    for _ in range(2):
        registry.register("twice", folder)
    add(tmp_path, "models:/twice/1", "--name", "iris")
    add(tmp_path, "models:/twice/latest", "--name", "iris")
    one, two = (Repository(tmp_path).manifest("iris", version).source for version in "12")
    assert one is not None
    assert two is not None
    assert (one.address, two.address) == ("models:/twice/1", "models:/twice/2")
    assert one.id != two.id


@pytest.mark.parametrize(
    ("location", "says"),
    [
        pytest.param("models:/iris", "'models:/iris' is no address of a registry: write models:/NAME@ALIAS, ", id="no-version"),
        pytest.param("models:/iris/Production", "is no address of a registry: write models:/NAME@ALIAS, ", id="stage"),
        pytest.param("models:/none@champion", "cannot get models:/none@champion from the registry sqlite:", id="no-model"),
        pytest.param("models:/none/3", "Model Version (name=none, version=3) not found", id="no-version-of-it"),
        pytest.param("nowhere.joblib", "pass --name with the name of the model in nowhere.joblib", id="no-name"),
    ],
)  # fmt: skip
def test_missing_model_is_refused_in_one_line(tmp_path: Path, location: str, says: str) -> None:
    with pytest.raises(SetupError) as refusal:
        add(tmp_path, location)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_unreachable_registry_is_named_without_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SetupError) as refusal:
        add(tmp_path, "models:/iris@champion")
    assert "cannot get models:/iris@champion from the registry http://127.0.0.1:1: " in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_missing_registry_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(SetupError, match=r"^there is no registry sqlite:.*: set MLFLOW_TRACKING_URI, or MLFLOW_REGISTRY_URI"):
        add(tmp_path, "models:/iris@champion")
    assert not list(tmp_path.iterdir())


def test_missing_mlflow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SetupError, match=r"^an MLflow registry needs mlflow: pip install 'foretell\[mlflow\]'$"):
        add(tmp_path, "models:/iris@champion")


def test_refusal_is_one_line() -> None:
    code, stderr = refused("foretell", "add", "models:/iris")
    assert (code, stderr.count("\n")) == (2, 1)
    assert stderr.startswith("foretell: 'models:/iris' is no address of a registry: write models:/NAME@ALIAS, ")
