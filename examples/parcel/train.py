"""Generate deliveries, train the model of `parcel.v1` on them, and write the model and its golden rows.

Usage: python examples/parcel/train.py [FOLDER]
"""

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer
from threadpoolctl import threadpool_limits

DAY = 86_400
"""In seconds."""

ROWS = 2000
QUANTILES = {"value": 0.5, "lower": 0.05, "upper": 0.95}


def main(folder: Path) -> None:
    """Write `model.joblib` and `golden.jsonl` into `folder`."""
    features, minutes = deliveries(ROWS, np.random.default_rng(0))
    train, test = slice(0, ROWS * 4 // 5), slice(ROWS * 4 // 5, ROWS)
    with threadpool_limits(1):  # The trees are small, so that threads would mostly wait.
        model = {name: estimator(quantile).fit(features[train], minutes[train]) for name, quantile in QUANTILES.items()}
    answers = {name: each.predict(features[test]) for name, each in model.items()}
    inside = np.mean((answers["lower"] <= minutes[test]) & (minutes[test] <= answers["upper"]))
    off = mean_absolute_error(minutes[test], answers["value"])
    print(f"off by {off:.1f} minutes on average; {inside:.0%} of the deliveries within the interval")

    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    with (folder / "golden.jsonl").open("w") as file:
        for index, row in enumerate(features[test][:20].to_dict("records")):
            outputs = {name: float(answer[index]) for name, answer in answers.items()}
            file.write(json.dumps({"features": json_row(row), "outputs": outputs}) + "\n")
    print(f"wrote {folder / 'model.joblib'} and {folder / 'golden.jsonl'}")


def deliveries(rows: int, random: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    """Features of so many deliveries, and the minutes that each took, shape (rows,)."""
    distance = random.uniform(0.2, 20, rows)
    stops = random.integers(0, 41, rows)
    weight = random.gamma(2, 3, rows).clip(0.1, 31.5)
    van = random.random(rows) < 0.5
    district = random.choice(["centre", "harbour", "hills"], rows)
    departure = 1_767_225_600 + random.integers(0, 365 * DAY, rows)
    rush = np.exp(-(((departure % DAY) / 3600 - 8) ** 2) / 4)
    traffic = (0.2 + 0.7 * rush + random.normal(0, 0.08, rows)).clip(0, 1)
    pace = np.where(van, 1.6 + 2.5 * traffic, 3.4) * np.where((district == "hills") & ~van, 1.4, 1.0)
    stop = np.where(van, 3.5, 2.2) + np.where(district == "centre", 1.0, 0.0)
    minutes = (distance * pace + stops * stop + weight * 0.2) * random.lognormal(0, 0.08, rows)
    frame = pd.DataFrame(
        {
            "distance_km": distance.round(1).clip(0.2),
            "stops_before": stops.astype(float),
            "weight_kg": np.where(random.random(rows) < 0.2, np.nan, weight.round(1)),
            "vehicle": np.where(van, "van", "cargo bike"),
            "district": district,
            "departure": departure.astype(float),
            "traffic": np.where(random.random(rows) < 0.1, np.nan, traffic.round(2)),
        }
    )
    return frame, minutes


def estimator(quantile: float) -> Pipeline:
    """A pipeline that predicts one quantile of the minutes. Its trees take missing numbers as they are."""
    columns = ColumnTransformer(
        [
            ("numbers", "passthrough", ["distance_km", "stops_before", "weight_kg", "traffic"]),
            ("categories", OneHotEncoder(sparse_output=False), ["vehicle", "district"]),
            ("hour", periodic(DAY), ["departure"]),
            ("weekday", periodic(7 * DAY), ["departure"]),
        ]
    )
    trees = HistGradientBoostingRegressor(
        loss="quantile", quantile=quantile, max_iter=50, max_leaf_nodes=6, min_samples_leaf=60, random_state=0
    )
    return make_pipeline(columns, trees)


def periodic(seconds: int) -> SplineTransformer:
    """Smooth functions of a time, with a period of `seconds`."""
    return SplineTransformer(knots=np.linspace(0, seconds, 8)[:, np.newaxis], extrapolation="periodic")


def json_row(row: dict[str, Any]) -> dict[str, Any]:
    """The row with None, which JSON writes as null, for missing values."""
    return {name: None if value != value else value for name, value in row.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/parcel"))
