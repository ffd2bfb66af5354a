"""Estimators of LightGBM and XGBoost that were fitted on data frames answer as they do locally: names, categories, quantiles."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from typer.testing import CliRunner

from foretell.cli import app
from foretell_contract.contract import load
from tests.support.servers.drafted_models import answers_by_both_doors, draft, init, refusal, serving_drafts
from tests.support.servers.many_models import BridgedServer

# As in the server.
pytestmark = [
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
    pytest.mark.timeout(400),
]  # A module drafts many contracts.

RANDOM = np.random.default_rng(0)
ROWS = 200
SIZE = RANDOM.normal(size=ROWS).round(2)
NAMES = pd.DataFrame({"sepal length (cm)": SIZE, "2nd width": RANDOM.normal(size=ROWS).round(2)})
TEXTS = pd.DataFrame({"kind of car": pd.Categorical(RANDOM.choice(["van", "bus", "007"], ROWS)), "size": SIZE})
CODES = pd.DataFrame({"size": SIZE, "code": pd.Categorical(RANDOM.choice([10, 20, 35], ROWS))})
YES = (np.where(TEXTS["kind of car"] == "van", 1, SIZE) > 0.5).astype(int)
FIELDS = {"sepal length (cm)": "sepal_length_cm", "2nd width": "column_2nd_width", "kind of car": "kind_of_car"}
TOWNS = TEXTS.rename(columns={"kind of car": "town"}).assign(town=TEXTS["kind of car"].cat.rename_categories({"van": "Zürich"}))
LABELS = {"van": "KIND_OF_CAR_VAN", "bus": 2, "007": 1, "Zürich": 3}


def lgbm(kind: Any = lightgbm.LGBMClassifier, **options: Any) -> Any:
    return kind(n_estimators=5, min_child_samples=2, verbose=-1, n_jobs=1, **options)


def xgb(kind: Any = xgboost.XGBClassifier, **options: Any) -> Any:
    return kind(n_estimators=5, n_jobs=1, **options)


@dataclass
class Case:
    estimator: Any
    frame: pd.DataFrame
    suffix: str = ".csv"
    fields: tuple[str, ...] = ("class_1_probability",)
    expected: Any = field(default=lambda model, frame: model.predict_proba(frame)[:, 1:])


CASES = {
    # LightGBM#2165, LightGBM#7338: spaces become underscores.
    "lgbm_names": Case(lgbm(), NAMES),
    "lgbm_names_parquet": Case(lgbm(), NAMES, ".parquet"),
    "xgb_names": Case(xgb(), NAMES),
    # LightGBM#5244: a frame needs the type of the categories.
    "lgbm_texts": Case(lgbm(), TEXTS),
    "lgbm_texts_parquet": Case(lgbm(), TEXTS, ".parquet"),
    "lgbm_towns": Case(lgbm(), TOWNS),
    "lgbm_codes": Case(lgbm(), CODES),
    "lgbm_codes_parquet": Case(lgbm(), CODES, ".parquet"),
    "xgb_texts": Case(xgb(enable_categorical=True), TEXTS),
    "xgb_texts_parquet": Case(xgb(enable_categorical=True), TEXTS, ".parquet"),
    "xgb_codes": Case(xgb(enable_categorical=True), CODES),
    "xgb_codes_parquet": Case(xgb(enable_categorical=True), CODES, ".parquet"),
    # xgboost#9756: one model of several quantiles.
    "three_quantiles": Case(
        xgb(xgboost.XGBRegressor, objective="reg:quantileerror", quantile_alpha=[0.9, 0.1, 0.5]),
        NAMES,
        fields=("upper", "lower", "value"),
        expected=lambda model, frame: model.predict(frame),
    ),
    "two_quantiles": Case(
        xgb(xgboost.XGBRegressor, objective="reg:quantileerror", quantile_alpha=np.array([0.25, 0.75])),
        NAMES,
        fields=("quantile_0_25", "quantile_0_75"),
        expected=lambda model, frame: model.predict(frame),
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("boosted")
    for name, case in CASES.items():
        case.estimator.fit(case.frame, SIZE if "quantiles" in name else YES)
        data = root / f"{name}{case.suffix}"
        table = case.frame.assign(y=YES)
        table.to_parquet(data) if case.suffix == ".parquet" else table.to_csv(data, index=False)
        draft(root, name, case.estimator, "--data", data, "--target", "y")
    with serving_drafts(root) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_both_doors_give_the_estimators_answers(server: BridgedServer, name: str) -> None:
    case = CASES[name]
    head = case.frame.head(40)
    rows = head.astype(dict.fromkeys(head.columns, object)).rename(columns=fields_of(name)).to_dict("records")
    rows = [{each: LABELS.get(value, value) for each, value in row.items()} for row in rows]
    answers = answers_by_both_doors(server, name, rows)
    assert [[answer[each] for each in case.fields] for answer in answers] == pytest.approx(
        case.expected(case.estimator, head), rel=1e-6
    )


def fields_of(name: str) -> dict[str, str]:
    """The names of fields; LightGBM's name of a column has no spaces."""
    return FIELDS | ({"sepal length (cm)": "sepal_length_cm"} if name.startswith("lgbm") else {})


def logistic_loss(labels: Any, margins: Any) -> tuple[Any, Any]:
    second = 1 / (1 + np.exp(-margins))
    return second - labels, second * (1 - second)


@pytest.mark.parametrize(
    "estimator",
    [lgbm(objective=logistic_loss), xgb(objective=logistic_loss), lgbm(objective=logistic_loss, boosting_type="dart")],
    ids=["lgbm", "xgb", "dart"],
)
def test_objectives_of_ones_own_are_refused(tmp_path: Path, estimator: Any) -> None:
    """LightGBM#4629, LightGBM#6389: predict_proba then gives margins."""
    message = refusal(tmp_path, "m", estimator.fit(NAMES, YES))
    assert (
        "was trained with the objective 'logistic_loss' of your own: its predict_proba gives margins, no probabilities" in message
    )
    assert message.endswith(
        "save a classifier of your own whose predict_proba turns them into probabilities and whose predict gives classes"
    )


@pytest.mark.parametrize(
    ("quantiles", "fields"),
    [([0.1, 0.5, 0.9], ("value", "lower", "upper")), ([0.25, 0.75], ("quantile_0_25", "quantile_0_75"))],
)
def test_boosters_of_several_quantiles_have_the_same_fields(
    tmp_path: Path, quantiles: list[float], fields: tuple[str, ...]
) -> None:
    """xgboost#9756, from a file of XGBoost's own."""
    model = xgb(xgboost.XGBRegressor, objective="reg:quantileerror", quantile_alpha=quantiles).fit(NAMES, SIZE)
    model.get_booster().save_model(tmp_path / "m.ubj")
    folders = ("--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models"))
    done = CliRunner().invoke(app, ["init", str(tmp_path / "m.ubj"), *folders], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (service,) = load(tmp_path / "protos").services
    assert tuple(field.name for field in service.methods[0].answer.fields) == fields


@pytest.mark.parametrize("categories", [["grün", "gelb"], ["да", "нет"], ["红", "green"]])
def test_categories_that_xgboost_does_not_store_need_parquet(tmp_path: Path, categories: list[str]) -> None:
    frame = pd.DataFrame({"size": SIZE, "colour": pd.Categorical(np.resize(np.array(categories, object), ROWS))})
    model = xgb(enable_categorical=True).fit(frame, YES)
    for suffix, write in ((".csv", frame.to_csv), (".parquet", frame.to_parquet)):
        write(tmp_path / f"data{suffix}", index=False)
    assert refusal(tmp_path, "m", model, "--data", tmp_path / "data.csv") == (
        "the column 'colour' holds categories, but XGBoost stores none whose texts have letters beyond ASCII: "
        "pass the data frame of training as --data FILE.parquet, which holds them"
    )
    assert init(tmp_path, "m", model, "--data", tmp_path / "data.parquet").exit_code == 0
