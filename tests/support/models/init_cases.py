"""Estimators of every kind with their training data, and the requests and answers of the drafted contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

ROWS = 200
_95_PERCENT = 1.959963984540054
Document = dict[str, Any]


@dataclass
class InitCase:
    """An estimator, its training data, and its own answers to the data as documents of the drafted contract."""

    estimator: Any
    frame: pd.DataFrame
    """The training data, with the target."""
    rows: list[Document]
    answers: list[Document]
    options: tuple[str, ...] = ()
    data: str = "csv"


def numbers(seed: int, *names: str) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(ROWS, len(names))).round(3), columns=list(names))


def named(rows: Any, *names: str) -> list[Document]:
    return [dict(zip(names, row, strict=True)) for row in np.asarray(rows).tolist()]


def present(frame: pd.DataFrame) -> list[Document]:
    """Rows as documents, without missing values."""
    return [{str(name): value for name, value in row.items() if not pd.isna(value)} for row in frame.to_dict("records")]


def logistic() -> InitCase:
    """Fitted on an array without column names; its labels are not valid names in a contract."""
    frame = numbers(1, "Sepal length (cm)", "2nd width")
    kind = np.array(["Iris-setosa", "wide", "Other One"])[(frame.to_numpy() > 0).sum(axis=1)]
    model = LogisticRegression().fit(frame.to_numpy(), kind)
    fields = {"Iris-setosa": "iris_setosa", "Other One": "other_one", "wide": "wide"}
    answers = [
        {"species": f"SPECIES_{fields[label].upper()}"}
        | {f"{fields[name]}_probability": p for name, p in zip(model.classes_, row, strict=True)}
        for label, row in zip(model.predict(frame.to_numpy()), model.predict_proba(frame.to_numpy()).tolist(), strict=True)
    ]
    rows = named(frame, "sepal_length_cm", "column_2nd_width")
    return InitCase(model, frame.assign(species=kind), rows, answers, ("--target", "species"))


def svc() -> InitCase:
    """Has no probabilities; its classes are integers."""
    frame = numbers(2, "a", "b", "c")
    model = SVC().fit(frame, np.digitize(frame.a, [-0.5, 0.5]))
    answers = [
        {"label": label, "decisions": row}
        for label, row in zip(model.predict(frame).tolist(), model.decision_function(frame).tolist(), strict=True)
    ]
    return InitCase(model, frame, present(frame), answers)


def forest() -> InitCase:
    """A grid search; one column is a Python keyword."""
    frame = numbers(3, "a", "b", "class", "d")
    kind = np.where(frame.sum(axis=1) > 0, "up", "down")
    model = GridSearchCV(RandomForestClassifier(8, random_state=0), {"max_depth": [3]}, cv=2).fit(frame, kind)
    answers = [
        {"label": f"LABEL_{label.upper()}", "down_probability": row[0], "up_probability": row[1]}
        for label, row in zip(model.predict(frame), model.predict_proba(frame).tolist(), strict=True)
    ]
    return InitCase(model, frame, present(frame.rename(columns={"class": "class_value"})), answers)


def boosting() -> InitCase:
    """Accepts missing values and categories."""
    frame = numbers(4, "a", "b").assign(shop=pd.Categorical(np.random.default_rng(5).choice(["Bern", "Zug"], ROWS)))
    frame.loc[::3, "b"] = np.nan
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features="from_dtype").fit(frame, frame.a > 0)
    answers = [
        {"label": bool(label), "false_probability": row[0], "true_probability": row[1]}
        for label, row in zip(model.predict(frame), model.predict_proba(frame).tolist(), strict=True)
    ]
    rows = [row | {"shop": f"SHOP_{row['shop'].upper()}"} for row in present(frame)]
    return InitCase(model, frame, rows, answers)


def ridge() -> InitCase:
    """Columns of integers and bools."""
    random = np.random.default_rng(6)
    frame = numbers(6, "x").assign(rooms=random.integers(1, 9, ROWS), garden=random.random(ROWS) > 0.5)
    model = make_pipeline(StandardScaler(), Ridge()).fit(frame, frame.x + frame.rooms)
    return InitCase(
        model, frame.assign(rent=frame.x + frame.rooms), present(frame), named(model.predict(frame)[:, None], "value"),
        ("--target", "rent"),
    )  # fmt: skip


def several_numbers() -> InitCase:
    frame = numbers(7, "a", "b")
    goals = pd.DataFrame({"height": frame.sum(axis=1), "Weight (kg)": frame.a * 3})
    model = MultiOutputRegressor(LinearRegression()).fit(frame, goals)
    answers = named(model.predict(frame), "height", "weight_kg")
    return InitCase(model, pd.concat([frame, goals], axis=1), present(frame), answers, ("--target", "height,Weight (kg)"))


def several_labels() -> InitCase:
    frame = numbers(8, "a", "b")
    labels = pd.DataFrame({"rain": frame.a > 0, "wind": frame.b > 0.3}).astype(int)
    model = MultiOutputClassifier(LogisticRegression()).fit(frame, labels)
    rain, wind = model.predict_proba(frame)
    answers = [
        {"rain": bool(label[0]), "rain_probability": r[1], "wind": bool(label[1]), "wind_probability": w[1]}
        for label, r, w in zip(model.predict(frame).tolist(), rain.tolist(), wind.tolist(), strict=True)
    ]
    return InitCase(model, pd.concat([frame, labels], axis=1), present(frame), answers, ("--target", "rain,wind"))


def isolation() -> InitCase:
    frame = numbers(9, "a", "b")
    model = IsolationForest(n_estimators=20, random_state=0).fit(frame)
    found = (model.predict(frame).tolist(), model.score_samples(frame).tolist(), model.decision_function(frame).tolist())
    answers = [
        {"label": {1: "LABEL_INLIER", -1: "LABEL_OUTLIER"}[label], "score": score, "decision": decision}
        for label, score, decision in zip(*found, strict=True)
    ]
    return InitCase(model, frame, present(frame), answers)


def clusters() -> InitCase:
    frame = numbers(10, "x", "y")
    model = KMeans(3, n_init=1, random_state=0).fit(frame)
    answers = [
        {"cluster": cluster, "distances": distances}
        for cluster, distances in zip(model.predict(frame).tolist(), model.transform(frame).tolist(), strict=True)
    ]
    return InitCase(model, frame, present(frame), answers)


def components() -> InitCase:
    frame = numbers(11, "Größe", "b", "c")
    model = PCA(2).fit(frame)
    answers = [{"components": row} for row in model.transform(frame).tolist()]
    return InitCase(model, frame, present(frame.rename(columns={"Größe": "grosse"})), answers)


def mixed() -> InitCase:
    """Numbers, texts, categories, missing values and times in one pipeline."""
    random = np.random.default_rng(12)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, ROWS),
            "income": np.where(random.random(ROWS) < 0.2, np.nan, random.normal(50, 9, ROWS).round(2)),
            "city": pd.Series(random.choice(["Bern", "St. Gallen", "Zug"], ROWS)).where(random.random(ROWS) > 0.1),
            "plan": random.choice(["pre paid", "flat"], ROWS),
            "active": random.random(ROWS) > 0.5,
            "since": pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 400, ROWS), unit="D"),
        }
    )
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
            ("texts", text, ["city"]),
            ("plans", OneHotEncoder(), ["plan"]),
            ("flags", "passthrough", ["active"]),
            ("times", make_pipeline(OneHotEncoder(handle_unknown="ignore")), ["since"]),
        ]
    )
    level = np.where(frame.age + random.normal(0, 9, ROWS) > 50, "high", "low")
    model = make_pipeline(columns, LogisticRegression()).fit(frame, level)
    rows = [
        row | {"since": row["since"].isoformat() + "Z", "plan": f"PLAN_{row['plan'].upper().replace(' ', '_')}"}
        for row in present(frame)
    ]
    answers = [
        {"level": f"LEVEL_{label.upper()}", "high_probability": row[0], "low_probability": row[1]}
        for label, row in zip(model.predict(frame).tolist(), model.predict_proba(frame).tolist(), strict=True)
    ]
    return InitCase(model, frame.assign(level=level), rows, answers, ("--target", "level"))


def gaussian() -> InitCase:
    frame = numbers(13, "x")
    model = GaussianProcessRegressor(RBF() + WhiteKernel(), random_state=0)
    model.fit(frame[:40], np.sin(frame.x[:40]) + numbers(14, "e").e[:40] / 5)
    mean, std = model.predict(frame, return_std=True)
    answers = [
        {"value": m, "std": s, "lower": m - _95_PERCENT * s, "upper": m + _95_PERCENT * s}
        for m, s in zip(mean.tolist(), std.tolist(), strict=True)
    ]
    return InitCase(model, frame, present(frame), answers)


def quantiles() -> InitCase:
    """Three regressors: a value and both ends of its interval."""
    frame = numbers(15, "a", "b")
    fitted = {
        name: GradientBoostingRegressor(loss="quantile", alpha=alpha, n_estimators=10).fit(frame, frame.sum(axis=1))
        for name, alpha in (("value", 0.5), ("lower", 0.1), ("upper", 0.9))
    }
    answers = named(
        np.column_stack([fitted[name].predict(frame) for name in ("value", "lower", "upper")]), "value", "lower", "upper"
    )
    return InitCase(fitted, frame, present(frame), answers)


def texts() -> InitCase:
    """One column of text."""
    words = np.random.default_rng(16).choice(["rain", "sun", "wind", "fog"], (ROWS, 3))
    lines = pd.DataFrame({"line": [" ".join(row) for row in words.tolist()]})
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(lines.line, ["rain" in line for line in lines.line])
    answers = [
        {"label": bool(label), "false_probability": row[0], "true_probability": row[1]}
        for label, row in zip(model.predict(lines.line), model.predict_proba(lines.line).tolist(), strict=True)
    ]
    return InitCase(model, lines, present(lines), answers)


def frozen() -> InitCase:
    """A calibrated frozen pipeline; only its encoder lists the categories."""
    random = np.random.default_rng(17)
    frame = pd.DataFrame({"grade": random.choice([10, 20, 30], ROWS), "mood": random.choice(["good", "BAD"], ROWS)})
    label = np.where(frame.grade + random.normal(0, 9, ROWS) > 20, "pass", "fail")
    columns = ColumnTransformer([("all", OneHotEncoder(), ["grade", "mood"])])
    pipeline = make_pipeline(columns, LogisticRegression()).fit(frame, label)
    model = CalibratedClassifierCV(FrozenEstimator(pipeline)).fit(frame, label)
    answers = [
        {"label": f"LABEL_{name.upper()}", "fail_probability": row[0], "pass_probability": row[1]}
        for name, row in zip(model.predict(frame), model.predict_proba(frame).tolist(), strict=True)
    ]
    rows = [row | {"mood": f"MOOD_{row['mood'].upper()}"} for row in present(frame)]
    return InitCase(model, frame, rows, answers)


CASES: dict[str, Callable[[], InitCase]] = {
    make.__name__: make
    for make in (
        logistic, svc, forest, boosting, ridge, several_numbers, several_labels, isolation, clusters, components, mixed, gaussian,
        quantiles, texts, frozen,
    )
}  # fmt: skip
