"""Cases of estimators that are fitted on data frames."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from grpc_server.runtimes.sklearn.data_frames import dtype_of
from tests.support.models.estimator_case import NUMBER, ROWS, Case, named, numbers


def month(frame: Any) -> Any:
    """The month of each time; stands for a user's own transformer."""
    return np.column_stack([frame[name].dt.month.to_numpy() for name in frame.columns])


def components() -> Case:
    rows = numbers(10, 3)
    model = PCA(2).fit(pd.DataFrame(rows, columns=["width (cm)", "b", "c"]))
    answers = [{"components": row} for row in model.transform(pd.DataFrame(rows, columns=["width (cm)", "b", "c"])).tolist()]
    contract = f"""
        message Features {{
          {NUMBER("width_cm", 1).replace("[", '[(foretell.v1.column) = "width (cm)", ')} {NUMBER("b", 2)} {NUMBER("c", 3)}
        }}
        message Response {{ repeated double components = 1; }}
    """
    return Case(model, contract, named(rows, "width_cm", "b", "c"), answers)


def mixed() -> Case:
    random = np.random.default_rng(11)
    start = pd.Timestamp("2026-01-01")
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, ROWS),
            "income": np.where(random.random(ROWS) < 0.2, np.nan, random.normal(50, 9, ROWS).round(2)),
            "city": pd.Series(random.choice(["Bern", "Basel", "Zug"], ROWS)).where(random.random(ROWS) > 0.1),
            "plan": pd.Categorical(random.choice(["pre paid", "flat"], ROWS), categories=["pre paid", "flat"]),
            "active": random.random(ROWS) > 0.5,
            "since": start + pd.to_timedelta(random.integers(0, 400, ROWS), unit="D"),
        }
    )
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numeric = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numeric, ["age", "income"]),
            ("texts", text, ["city"]),
            ("plans", OneHotEncoder(), ["plan"]),
            ("flags", "passthrough", ["active"]),
            ("times", FunctionTransformer(month), ["since"]),
        ]
    )
    level = np.where(frame.age + random.normal(0, 9, ROWS) > 50, "high", "low")
    model = make_pipeline(columns, LogisticRegression()).fit(frame, level)
    documents = []
    for row in frame.to_dict("records"):
        document = row | {
            "since": row["since"].isoformat() + "Z",
            "plan": {"flat": "PLAN_FLAT", "pre paid": "PLAN_PRE_PAID"}[row["plan"]],
        }
        documents.append({name: value for name, value in document.items() if value == value and value is not None})
    answers = [
        {"verdict": {"level": f"LEVEL_{label.upper()}", "probability": max(row)}, "high_probability": row[0]}
        for label, row in zip(model.predict(frame).tolist(), model.predict_proba(frame).tolist(), strict=True)
    ]
    contract = """
        enum Plan { PLAN_UNSPECIFIED = 0; PLAN_PRE_PAID = 1; PLAN_FLAT = 2; }
        enum Level { LEVEL_UNSPECIFIED = 0; LEVEL_LOW = 1; LEVEL_HIGH = 2; }
        message Features {
          int64 age = 1 [(buf.validate.field).int64 = {gte: 18, lte: 120, example: 40}];
          optional double income = 2 [(buf.validate.field).double = {finite: true, example: 50}];
          optional string city = 3 [(buf.validate.field).string = {max_len: 20, example: "Bern"}];
          Plan plan = 4 [(buf.validate.field).enum = {defined_only: true, not_in: 0, example: 1}];
          bool active = 5 [(buf.validate.field).bool.example = true];
          google.protobuf.Timestamp since = 6 [
            (buf.validate.field).required = true, (buf.validate.field).timestamp = {example: {seconds: 1767225600}}
          ];
        }
        message Verdict { Level level = 1; double probability = 2; }
        message Response { Verdict verdict = 1; double high_probability = 2; }
    """
    return Case(model, contract, documents, answers, dtypes={str(name): dtype_of(frame[name]) for name in frame.columns})


def texts() -> Case:
    words = np.random.default_rng(15).choice(["rain", "sun", "wind", "fog"], (ROWS, 3))
    lines = [" ".join(row) for row in words.tolist()]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(lines, ["rain" in line for line in lines])
    answers = named(model.predict_proba(lines), "false_probability", "true_probability")
    contract = """
        message Features { string line = 1 [(buf.validate.field).string = {min_len: 1, max_len: 100, example: "rain"}]; }
        message Response { double false_probability = 1; double true_probability = 2; }
    """
    return Case(model, contract, [{"line": line} for line in lines], answers, columns=("line",))
