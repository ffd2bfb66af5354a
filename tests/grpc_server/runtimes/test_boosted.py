"""Files of XGBoost and LightGBM: the numbers of the libraries themselves, in every bit, and refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import lightgbm
import numpy as np
import pandas as pd
import pytest
import treelite
import xgboost
from typer.testing import CliRunner

from foretell.cli import app
from foretell_contract.errors import SetupError
from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelError, ModelUnloadable
from grpc_server.rows.mixed_rows import FLOAT64, Dtype, Matrix
from grpc_server.rows.outputs import Source, all_outputs
from grpc_server.runtimes.formats import format_table, native_library
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.repository import Repository
from tests.support.processes import foretell

COLUMNS = ("width", "height", "weight", "age")
CHANCE = np.random.default_rng(0)
X = CHANCE.random((300, 4))
X[CHANCE.random(X.shape) < 0.1] = np.nan
ROWS = CHANCE.normal(size=(100, 4))
ROWS[CHANCE.random(ROWS.shape) < 0.1] = np.nan
KINDS = (np.nan_to_num(X[:, 0]) > np.nan_to_num(X[:, 1])).astype(int) + (X[:, 2] > 0.7)
SMALL: dict[str, Any] = {"n_estimators": 8, "max_depth": 3, "n_jobs": 1}
QUIET: dict[str, Any] = SMALL | {"verbose": -1}
FRAME = pd.DataFrame(X, columns=list(COLUMNS))


def stopped_early() -> xgboost.XGBClassifier:
    model = xgboost.XGBClassifier(**SMALL | {"n_estimators": 200}, early_stopping_rounds=2)
    model.fit(X[:200], KINDS[:200], eval_set=[(X[200:], KINDS[200:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    return model


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "xgboost-binary": lambda: xgboost.XGBClassifier(**SMALL).fit(X, KINDS > 0),
    "xgboost-several": lambda: xgboost.XGBClassifier(**SMALL).fit(X, KINDS),
    "xgboost-stopped-early": stopped_early,
    "xgboost-dart": lambda: xgboost.XGBClassifier(**SMALL, booster="dart").fit(X, KINDS),
    "lightgbm-binary": lambda: lightgbm.LGBMClassifier(**QUIET).fit(X, KINDS > 0),
    "lightgbm-several": lambda: lightgbm.LGBMClassifier(**QUIET).fit(X, KINDS),
    "lightgbm-one-against-all": lambda: lightgbm.LGBMClassifier(**QUIET, objective="multiclassova").fit(X, KINDS),
    "lightgbm-forest": lambda: lightgbm.LGBMClassifier(**QUIET, boosting_type="rf", subsample=0.5, subsample_freq=1).fit(X, KINDS),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "xgboost": lambda: xgboost.XGBRegressor(**SMALL).fit(X, 1000.0 * KINDS),
    "xgboost-counts": lambda: xgboost.XGBRegressor(**SMALL, objective="count:poisson").fit(X, KINDS),
    "xgboost-several": lambda: xgboost.XGBRegressor(**SMALL).fit(X, np.column_stack((KINDS, 2.0 * KINDS))),
    "lightgbm": lambda: lightgbm.LGBMRegressor(**QUIET).fit(X, 1000.0 * KINDS),
    "lightgbm-quantile": lambda: lightgbm.LGBMRegressor(**QUIET, objective="quantile", alpha=0.9).fit(X, KINDS),
}


def saved(model: Any, folder: Path, suffix: str = ".ubj") -> Path:
    if isinstance(model, lightgbm.LGBMModel):
        model.booster_.save_model(folder / "m.txt")
        return folder / "m.txt"
    file = folder / f"m{suffix}"
    model.save_model(file)
    return file


def loaded(file: Path) -> tuple[Runtime, tuple[Source, ...]]:
    artifact = file.read_bytes()
    runtime = format_table.load(format_table.format_of(file, artifact), artifact)
    return runtime, runtime.sources([FLOAT64] * runtime.width, ROWS[:1])


def by_one(run: Callable[[Matrix], Matrix]) -> Matrix:
    return np.vstack([run(row[None]) for row in ROWS])


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifier_gives_its_librarys_numbers(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    runtime, (probabilities, labels, both) = loaded(saved(model, tmp_path))
    assert (runtime.classes, runtime.targets, runtime.columns, runtime.width) == (None, (), None, 4)
    for run in (probabilities.run, lambda rows: both.run(rows)[:, 1:]):
        assert np.array_equal(run(ROWS), model.predict_proba(ROWS))
    assert np.array_equal(by_one(probabilities.run), model.predict_proba(ROWS))
    for run in (labels.run, lambda rows: both.run(rows)[:, :1]):
        assert np.array_equal(run(ROWS)[:, 0], model.predict(ROWS))


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_regressor_gives_its_librarys_numbers(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    runtime, (value,) = loaded(saved(model, tmp_path))
    assert (runtime.classes, runtime.targets, {output.kind for output in value.outputs}) == ((), (), {"value"})
    assert np.array_equal(value.run(ROWS), model.predict(ROWS).reshape(len(ROWS), -1))
    assert np.array_equal(by_one(value.run), value.run(ROWS))


def test_multilabel_model_has_a_target_each(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(**SMALL).fit(X, np.column_stack((KINDS > 0, KINDS > 1)).astype(int))
    runtime, (probabilities, labels, _) = loaded(saved(model, tmp_path))
    assert (runtime.classes, runtime.targets) == ((), (("0", "1"), ("0", "1")))
    assert np.array_equal(probabilities.run(ROWS)[:, [1, 3]], model.predict_proba(ROWS))
    assert np.array_equal(labels.run(ROWS), model.predict(ROWS))


def test_softmax_objective_gives_probabilities_too(tmp_path: Path) -> None:
    facts = {"num_class": 3, "max_depth": 3, "seed": 1, "nthread": 1}
    label, probability = (
        xgboost.train(facts | {"objective": f"multi:{name}"}, xgboost.DMatrix(X, KINDS), 8) for name in ("softmax", "softprob")
    )
    _, (probabilities, labels, _) = loaded(saved(label, tmp_path))
    assert np.array_equal(labels.run(ROWS)[:, 0], label.predict(xgboost.DMatrix(ROWS)))
    assert probabilities.run(ROWS) == pytest.approx(probability.predict(xgboost.DMatrix(ROWS)), abs=1e-6)


def test_ranker_gives_scores(tmp_path: Path) -> None:
    xgb = xgboost.XGBRanker(**SMALL).fit(X, KINDS, group=[100, 200])
    lgb = lightgbm.LGBMRanker(**QUIET).fit(X, KINDS, group=[100, 200])
    for model in (xgb, lgb):
        _, sources = loaded(saved(model, tmp_path))
        assert [output.kind for output in all_outputs(sources)] == ["score"]


def test_names_are_read_from_the_file(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(**SMALL).fit(FRAME, KINDS > 0)
    model.get_booster().set_attr(**{"foretell.classes": '["stays", "leaves"]'})
    assert [(each.columns, each.classes) for each in [loaded(saved(model, tmp_path, ".json"))[0]]] == [
        (COLUMNS, ("stays", "leaves"))
    ]
    assert loaded(saved(lightgbm.LGBMRegressor(**QUIET).fit(FRAME, KINDS), tmp_path))[0].columns == COLUMNS


@pytest.mark.parametrize("name", ["xgboost-several", "xgboost-binary", "lightgbm-binary", "lightgbm-several"])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_treelite_checkpoint_gives_nearly_the_same(name: str, tmp_path: Path) -> None:
    model = CLASSIFIERS[name]()
    file = saved(model, tmp_path)
    read = treelite.frontend.load_lightgbm_model if file.suffix == ".txt" else treelite.frontend.load_xgboost_model
    read(file).serialize(tmp_path / "m.tl")
    runtime, (probabilities, *_) = loaded(tmp_path / "m.tl")
    assert (runtime.classes, runtime.width) == (None, 4)
    assert probabilities.run(ROWS) == pytest.approx(model.predict_proba(ROWS), abs=1e-6)


def test_treelite_checkpoint_of_margins_is_refused(tmp_path: Path) -> None:
    model = REGRESSORS["xgboost"]()
    treelite.frontend.load_xgboost_model(saved(model, tmp_path)).serialize(tmp_path / "m.tl")
    _, (value,) = loaded(tmp_path / "m.tl")
    assert value.run(ROWS)[:, 0] == pytest.approx(model.predict(ROWS), rel=1e-6, abs=1e-3)
    raw = xgboost.train({"objective": "binary:logitraw", "base_score": 5.0}, xgboost.DMatrix(X, KINDS > 0), 2)
    raw.save_model(tmp_path / "raw.ubj")
    treelite.frontend.load_xgboost_model(tmp_path / "raw.ubj").serialize(tmp_path / "m.tl")
    with pytest.raises(
        ModelUnloadable,
        match=r"^the trees answer \[.*\] for classes: these are no probabilities: train it with an objective that gives them$",
    ):
        loaded(tmp_path / "m.tl")


def test_runs_use_one_thread_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for stated, threads in (("", 1), ("4", 4), ("3,2", 3), ("many", 1), ("0", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", stated)
        assert native_library.threads() == threads
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert native_library.threads() == 1


def test_rows_of_another_width_are_refused(tmp_path: Path) -> None:
    for make in (REGRESSORS["xgboost"], REGRESSORS["lightgbm"]):
        _, (value,) = loaded(saved(make(), tmp_path))
        for count in (1, 2):
            with pytest.raises(ValueError, match="rows of 3 columns for a model of 4"):
                value.run(np.zeros((count, 3)))


def test_columns_other_than_numbers_are_refused(tmp_path: Path) -> None:
    for make, name in ((REGRESSORS["xgboost"], "XGBoost"), (REGRESSORS["lightgbm"], "LightGBM")):
        runtime, _ = loaded(saved(make(), tmp_path))
        with pytest.raises(ModelUnloadable, match=f"{name} takes numbers, but the column 1 is object: encode it in training"):
            runtime.sources([FLOAT64, Dtype("object"), FLOAT64, FLOAT64], ROWS[:1])


TOWNS = FRAME.assign(town=pd.Categorical(np.resize(["a", "b", "c"], len(X))))


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        pytest.param("m.json", lambda f: f.write_text('{"a": 1}'), "m.json holds no model of xgboost, as its suffix says: "
            "pass the file that holds the trained model",
            id="other-json"),
        pytest.param("m.txt", lambda f: f.write_text("trees are green"), "m.txt holds no model of lightgbm", id="other-text"),
        pytest.param("m.ubj", lambda f: f.touch(), "m.ubj holds no model of xgboost", id="empty"),
        pytest.param("m.ubj", lambda f: f.write_bytes(b'{"learner_model_param'), "xgboost: ", id="damaged"),
        pytest.param("m.txt", lambda f: f.write_bytes(b"tree\nversion=v4\nnum_class=1\n"), "lightgbm: ", id="cut"),
        pytest.param("m.ubj",
            lambda f: xgboost.XGBRegressor(**SMALL, booster="gblinear").fit(np.nan_to_num(X), KINDS).save_model(f),
            "the xgboost booster gblinear has no trees: train with gbtree or dart, or add the estimator as joblib", id="linear"),
        pytest.param("m.ubj", lambda f: xgboost.XGBClassifier(**SMALL, objective="binary:hinge").fit(X, KINDS > 0).save_model(f),
            "the xgboost objective binary:hinge is none of binary:logistic, multi:soft*, reg:*, count:*, "
            "survival:*, rank:*: train with one of them", id="objective"),
        pytest.param("m.ubj", lambda f: xgboost.XGBRegressor(**SMALL, enable_categorical=True).fit(TOWNS, KINDS).save_model(f),
            "the column 'town' holds categories, whose codes an xgboost file leaves to its caller: "
            "encode them in training, or add the estimator as joblib",
            id="xgboost-categories"),
        pytest.param("m.txt", lambda f: lightgbm.LGBMRegressor(**QUIET).fit(TOWNS, KINDS).booster_.save_model(f),
            "1 columns hold categories of pandas, whose codes a lightgbm file leaves to its caller: "
            "encode them in training, or add the estimator as joblib",
            id="lightgbm-categories"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_refusal_is_one_line(name: str, write: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    repository = Repository(tmp_path / "models")
    with pytest.raises(ModelError) as refusal:
        add_model(repository, tmp_path / name, "m", (*COLUMNS, "town")[: 5 if "categories" in message else 4])
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert repository.versions("m") == []


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if isinstance(done.exception, SetupError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_init_asks_for_missing_class_names(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "m.csv", index=False)
    file = saved(xgboost.XGBClassifier(**SMALL).fit(FRAME, KINDS), tmp_path)
    with pytest.raises(SetupError, match=r"m.ubj does not name its 3 classes: pass --classes x,y,z"):
        invoke("init", file, "--data", tmp_path / "m.csv", "--protos", tmp_path / "protos", "--models", tmp_path / "models")


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder in which `foretell init` wrote a contract and a version for one model of each library, and the models."""
    root = tmp_path_factory.mktemp("boosted")
    FRAME.to_csv(root / "data.csv", index=False)
    models = {
        "xgb": xgboost.XGBClassifier(**SMALL).fit(FRAME, KINDS),
        "lgb": lightgbm.LGBMClassifier(**QUIET).fit(FRAME, KINDS > 0),
    }
    for name, model in models.items():
        classes = ("low", "middle", "high") if name == "xgb" else ("no", "yes")
        arguments = ["--data", root / "data.csv", "--classes", ",".join(classes), "--name", name]
        arguments += ["--protos", root / "protos", "--models", root / "models"]
        output = invoke("init", saved(model, root), *arguments)
        assert f"added {name} version 1 as {'xgboost' if name == 'xgb' else 'lightgbm'}: " in output
    return root, models


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["inline", "process"])
def test_boosters_are_served_with_missing_values(drafted: tuple[Path, dict[str, Any]], placement: str) -> None:
    root, models = drafted
    row = dict(zip(COLUMNS, (0.9, None, 0.8, 0.1), strict=True))
    frame = pd.DataFrame([row], columns=list(COLUMNS)).astype(float)
    arguments = "--protos", str(root / "protos"), "--placement", placement, "--workers", "1"
    with foretell(root / "models", *arguments) as running:
        for name, model in models.items():
            answer = httpx2.post(f"{running.http}/{name}/predict", json=row, timeout=30).raise_for_status().json()
            given = [value for field, value in answer.items() if field.endswith("_probability")]
            assert given == pytest.approx(model.predict_proba(frame)[0].tolist(), abs=1e-9)
            likeliest = int(model.predict(frame)[0])
            assert answer["label"] == (bool(likeliest) if name == "lgb" else f"LABEL_{('LOW', 'MIDDLE', 'HIGH')[likeliest]}")
        formats = {each["name"]: each["format"] for each in httpx2.get(f"{running.http}/models").json()["models"]}
        assert formats == {"xgb": "xgboost", "lgb": "lightgbm"}
