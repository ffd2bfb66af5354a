"""Bounds of a draft are those that its reviewer would write: of what a column evidently is, in few digits, and open to outliers."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import RidgeClassifier
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeRegressor
from typer.testing import CliRunner

from foretell.check.training_range import FIELD, Range, range_of
from foretell.cli import app
from foretell.init.draft_contract import draft_contract
from foretell.init.draft_features import PackageNames, draft_feature
from foretell_contract.source.spelling import Names
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.checks.training_columns import Column
from grpc_server.rows.mixed_rows import Dtype
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import Target
from tests.support.servers.drafted_models import answers_by_both_doors, init, serving_drafts

# As in the server.
pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


@pytest.mark.parametrize(
    ("column", "kind", "data", "bounds"),
    [
        ("hour", "int64", (0, 22), (0, 23)),
        ("pickup_hour", "int64", (5, 23), (0, 23)),
        ("Hour of day", "int64", (1, 24), (1, 24)),
        ("minute", "int64", (0, 58), (0, 59)),
        ("weekday", "int64", (0, 6), (0, 6)),
        ("day_of_week", "int64", (1, 7), (1, 7)),
        ("dow", "int64", (1, 5), (0, 6)),
        ("month", "int64", (2, 12), (1, 12)),
        ("month", "int64", (0, 11), (0, 11)),
        ("day", "int64", (1, 30), (1, 31)),
        ("week", "int64", (2, 52), (1, 53)),
        ("quarter", "int64", (1, 4), (1, 4)),
        ("year", "int64", (2015, 2024), (1900, 2100)),
        ("is_weekend", "int64", (0, 1), (0, 1)),
        ("churned", "int64", (0, 0), (0, 1)),
        ("share", "double", (0, 1), (0, 1)),
        ("humidity (%)", "double", (12.5, 98), (0, 100)),
        ("discount_pct", "int64", (5, 40), (0, 100)),
        ("latitude", "double", (45.8, 47.8), (-90, 90)),
        ("lon", "double", (5.9, 10.5), (-180, 180)),
        ("visits", "int64", (0, 40), (0, 60)),
    ],
)
def test_bounds_are_those_of_the_scale(column: str, kind: str, data: tuple[float, float], bounds: tuple[float, float]) -> None:
    assert range_of(kind, data, column).bounds == bounds


@pytest.mark.parametrize(
    ("column", "kind", "data"),
    [
        ("hour", "int64", (0, 35)),
        ("hours", "int64", (0, 20)),
        ("wage_per_hour", "int64", (9, 20)),
        ("month", "double", (1.5, 11.5)),
        ("percent", "double", (-3, 140)),
        ("latitude", "double", (100, 200)),
    ],
)
def test_other_data_has_no_scale(column: str, kind: str, data: tuple[float, float]) -> None:
    found = range_of(kind, data, column)
    assert found.scale is None
    assert found.bounds == Range(kind, *data).bounds


@pytest.mark.parametrize(
    ("values", "span"),
    [
        ((1.2, 3.5999999999999996), "1.2 to 3.6"),
        ((0.1 + 0.2, 7.123456789012345), "0.3 to 7.124"),
        ((-1 / 3, 2 / 3), "-0.334 to 0.667"),
        ((1000000.123456, 1000000.223456), "1000000.12345 to 1000000.22346"),
        ((1e-9 / 3, 2e-9 / 3), "3.333e-10 to 6.667e-10"),
        ((4.3, 7.9), "4.3 to 7.9"),
        ((1 / 3, 1 / 3), "0.3333 to 0.3334"),
    ],
)
def test_figures_are_rounded_outwards(values: tuple[float, float], span: str) -> None:
    found = range_of("double", values)
    assert found.span == span
    assert found.low <= min(values)
    assert found.high >= max(values)


def drafted(values: tuple[Any, ...], name: str = "column", dtype: Dtype | None = None, *, outliers: bool = False) -> str:
    column = Column(
        name, dtype or Dtype(), values, nullable=None in values, example=next(each for each in values if each is not None)
    )
    line, _ = draft_feature(column, 1, Names(), PackageNames(), outliers=outliers)
    return "\n".join(line.lines())


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        ((1.0, None, 3.0), "optional int64 column"),
        ((0.0, None, -2.0, 1e6), "optional int64 column"),
        ((1, None, 3), "optional int64 column"),
        ((1.5, None, 3.0), "optional double column"),
        ((1.0, 2.0, 3.0), "optional double column"),
    ],
)
def test_integers_with_gaps_are_integers(values: tuple[Any, ...], declared: str) -> None:
    assert declared in drafted(values)


def test_text_bounds_are_said() -> None:
    texts = tuple(f"{'x' * length}" for length in range(1, 31))
    text = " ".join(drafted(texts, "remark", Dtype("object")).replace("//", "").split())
    assert "Remark, a text. Seen in training: 1 to 30 characters. Accepted: 1 to 1000 characters." in text
    assert f"{FIELD}.string.min_len = 1" in text
    long = drafted(("", *(f"{'x' * 700}{number}" for number in range(30))), "remark", Dtype("object"))
    assert "Accepted: 0 to 1410 characters." in " ".join(long.replace("//", "").split())
    assert "min_len" not in long


def order(decisions: int, classes: tuple[str, ...], golden: bytes = b"") -> str:
    outputs = (Output("label"), *(Output("decision", item) for item in range(decisions)))
    columns = (Column("a", Dtype(), (1.0, 2.0), example=1.0),)
    model = ModelDescription(columns, (Target("", classes),), outputs, {}, golden, named=True)
    return " ".join(draft_contract(model, "m.v1", "/m", "", {}).text.replace("//", "").split())


def test_order_of_decisions_is_said() -> None:
    assert "One for each class, in this order: a, b, c, d." in order(4, ("a", "b", "c", "d"))
    assert "in this order: a or b, a or c, a or d, b or c, b or d, c or d." in order(6, ("a", "b", "c", "d"))
    assert "in this order" not in order(3, ("a", "b", "c"))  # Of each class or of each pair?


@pytest.mark.slow
def test_order_of_three_decisions_is_that_of_the_answers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(90) % 3 + 0.0, "b": np.arange(90) / 90})
    frame.assign(y=np.array(["u", "v", "w"])[np.arange(90) % 3]).to_csv(tmp_path / "data.csv", index=False)
    for name, estimator in (("each", RidgeClassifier()), ("pairs", SVC(decision_function_shape="ovo"))):
        model = estimator.fit(frame, np.array(["u", "v", "w"])[np.arange(90) % 3])
        assert init(tmp_path, name, model, "--data", tmp_path / "data.csv", "--target", "y").exit_code == 0
    assert "in this order: u, v, w." not in (tmp_path / "protos/pairs/v1/pairs.proto").read_text()


DETECTORS = {
    "forest": IsolationForest(n_estimators=20, random_state=0),
    "density": GaussianMixture(2, random_state=0),
    "neighbours": LocalOutlierFactor(novelty=True),
    "border": OneClassSVM(),
}


@pytest.mark.slow
def test_outlier_detectors_are_sent_outliers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"amount": rng.normal(20, 5, 200).round(2), "items": rng.poisson(4, 200), "hour": rng.integers(0, 24, 200)}
    )
    frame.to_csv(tmp_path / "data.csv", index=False)
    for name, model in DETECTORS.items():
        assert init(tmp_path, name, model.fit(frame), "--data", tmp_path / "data.csv").exit_code == 0
    checked = CliRunner().invoke(app, ["check", "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")])
    assert checked.output == "Nothing is wrong.\n"
    outlier = {"amount": -900.0, "items": 500, "hour": 3}
    with serving_drafts(tmp_path) as server:
        for name, model in DETECTORS.items():
            (answer,) = answers_by_both_doors(server, name, [outlier])
            assert answer["score"] == pytest.approx(model.score_samples(pd.DataFrame([outlier]))[0])
            (refused,) = server.rest(server.methods[f"{name}.Predict"], [outlier | {"hour": 35}])
            assert refused.json()["detail"][0]["loc"] == ["body", "hour"]


@pytest.mark.slow
def test_order_of_distances_is_said(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(40) % 4 + 0.0})
    frame.to_csv(tmp_path / "data.csv", index=False)
    assert init(tmp_path, "groups", KMeans(4, n_init=1).fit(frame), "--data", tmp_path / "data.csv").exit_code == 0
    assert "in the order of their numbers from 0" in " ".join(
        (tmp_path / "protos/groups/v1/groups.proto").read_text().replace("//", "").split()
    )


@pytest.mark.slow
def test_drafts_with_scales_have_no_warnings(tmp_path: Path) -> None:
    frame = pd.DataFrame({"hour": np.arange(60) % 2 + 9, "year": 2024 + np.arange(60) % 2, "latitude": 47 + np.arange(60) / 600})
    frame.assign(y=frame.hour * 1.5).to_csv(tmp_path / "data.csv", index=False)
    model = DecisionTreeRegressor().fit(frame, frame.hour * 1.5)
    assert init(tmp_path, "narrow", model, "--data", tmp_path / "data.csv", "--target", "y").exit_code == 0
    checked = CliRunner().invoke(app, ["check", "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")])
    assert checked.output == "Nothing is wrong.\n"
