"""Cases of every kind of estimator, each with a contract that uses other kinds of fields."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.support.models.estimator_case import NUMBER, ROWS, Case, named, numbers
from tests.support.models.frame_estimators import components, mixed, texts


def logistic() -> Case:
    rows = numbers(1, 2)
    kinds = np.array(["sepal-long", "wide", "Other One"])[(rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0)]
    model = LogisticRegression().fit(rows, kinds)
    probabilities, classes = model.predict_proba(rows).tolist(), model.classes_.tolist()
    enum = {"sepal-long": "FORM_SEPAL_LONG", "wide": "FORM_WIDE", "Other One": "FORM_OTHER_ONE"}
    answers = [
        {
            "form": enum[label],
            "probabilities": dict(zip(classes, row, strict=True)),
            "ranking": [
                {"label": name, "share": p} for p, name in sorted(zip(row, classes, strict=True), key=lambda each: -each[0])
            ],
        }
        for label, row in zip(model.predict(rows).tolist(), probabilities, strict=True)
    ]
    contract = f"""
        enum Form {{ FORM_UNSPECIFIED = 0; FORM_WIDE = 1; FORM_SEPAL_LONG = 2; FORM_OTHER_ONE = 3; }}
        message Ranked {{ string label = 1; double share = 2; }}
        message Features {{ {NUMBER("a", 1)} {NUMBER("b", 2)} }}
        message Response {{ Form form = 1; map<string, double> probabilities = 2; repeated Ranked ranking = 3; }}
    """
    return Case(model, contract, named(rows, "b", "a"), answers, columns=("b", "a"))


def svc() -> Case:
    rows = numbers(2, 3)
    model = SVC().fit(rows, np.digitize(rows[:, 0], [-0.5, 0.5]))
    answers = [
        {"label": label, "decisions": row}
        for label, row in zip(model.predict(rows).tolist(), model.decision_function(rows).tolist(), strict=True)
    ]
    contract = f"""
        message Features {{ {NUMBER("a", 1)} {NUMBER("b", 2)} {NUMBER("c", 3)} }}
        message Response {{ int32 label = 1; repeated double decisions = 2; }}
    """
    return Case(model, contract, named(rows, "a", "b", "c"), answers, columns=("a", "b", "c"))


def forest() -> Case:
    rows = numbers(3, 4)
    model = RandomForestClassifier(10, random_state=0).fit(rows, np.where(rows.sum(axis=1) > 0, "up", "down"))
    answers = [
        {"label": label, "probability": max(row), "probabilities": row}
        for label, row in zip(model.predict(rows).tolist(), model.predict_proba(rows).tolist(), strict=True)
    ]
    contract = """
        message Features {
          repeated float measures = 1 [
            (foretell.v1.column) = "m{}",
            (buf.validate.field).repeated = {min_items: 4, max_items: 4, items: {float: {finite: true, example: 0.5}}}
          ];
        }
        message Response { string label = 1; double probability = 2; repeated double probabilities = 3; }
    """
    rows = rows.astype(np.float32).astype(float)
    return Case(model, contract, [{"measures": row} for row in rows.tolist()], answers, columns=("m0", "m1", "m2", "m3"))


def boosting() -> Case:
    rows = numbers(4, 4)
    rows[::3, 1] = np.nan
    rows[:, 2] = np.where(np.arange(ROWS) % 2, rows[:, 2], np.nan)
    rows[:, 3] = np.where(np.arange(ROWS) % 2, np.nan, rows[:, 3])
    model = HistGradientBoostingClassifier(max_iter=20).fit(rows, rows[:, 0] > 0)
    documents = [
        {name: value for name, value in zip(("a", "b", "left", "right"), row, strict=True) if value == value}
        for row in rows.tolist()
    ]
    answers = named(model.predict_proba(rows), "false_probability", "true_probability")
    contract = f"""
        message Features {{
          {NUMBER("a", 1)}
          google.protobuf.DoubleValue b = 2 [(buf.validate.field).double = {{finite: true, example: 1}}];
          oneof side {{
            option (buf.validate.oneof).required = true;
            double left = 3 [(buf.validate.field).double = {{finite: true, example: 1}}];
            double right = 4 [(buf.validate.field).double = {{finite: true, example: 1}}];
          }}
        }}
        message Response {{ double true_probability = 1; double false_probability = 2; }}
    """
    return Case(model, contract, documents, answers, columns=("a", "b", "left", "right"))


def ridge() -> Case:
    random = np.random.default_rng(5)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    documents, rows = [], []
    for place in range(ROWS):
        count, flag, color, seconds = int(random.integers(-(2**40), 2**40)), bool(place % 2), int(place % 3), place / 8
        moment = start + timedelta(milliseconds=place * 12_345_678)
        text = moment.isoformat().replace("+00:00", "Z")
        shown = ["COLOR_UNSPECIFIED", "COLOR_RED", 2][color]
        documents.append({"count": str(count) if flag else count, "flag": flag, "color": shown, "took": f"{seconds}s", "at": text})
        rows.append([count, flag, color, seconds, moment.timestamp()])
    matrix = np.array(rows, dtype=float)
    target = matrix[:, 1] + matrix[:, 2] - matrix[:, 3] + random.normal(size=ROWS)
    model = make_pipeline(StandardScaler(), Ridge()).fit(matrix, target)
    contract = """
        enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; }
        message Features {
          int64 count = 1 [(buf.validate.field).int64.example = 3];
          bool flag = 2;
          Color color = 3;
          google.protobuf.Duration took = 4 [(buf.validate.field) = {required: true, duration: {example: {seconds: 9}}}];
          google.protobuf.Timestamp at = 5 [(buf.validate.field) = {required: true, timestamp: {example: {seconds: 9}}}];
        }
        message Response { double value = 1; }
    """
    columns = ("count", "flag", "color", "took", "at")
    return Case(model, contract, documents, named(model.predict(matrix)[:, None], "value"), columns=columns)


def several_numbers() -> Case:
    rows = numbers(6, 2)
    model = MultiOutputRegressor(LinearRegression()).fit(rows, np.column_stack((rows.sum(axis=1), rows[:, 0] * 3)))
    answers = [
        {
            "height": height,
            "weight_kg": weight,
            "values": {"height": height, "weight": weight},
            "in_order": {"values": [height, weight]},
        }
        for height, weight in model.predict(rows).tolist()
    ]
    contract = f"""
        message Features {{ {NUMBER("a", 1)} {NUMBER("b", 2)} }}
        message InOrder {{ repeated double values = 1; }}
        message Response {{
          double height = 1;
          double weight_kg = 2 [(foretell.v1.output) = {{quantity: QUANTITY_VALUE, target: "weight"}}];
          map<string, double> values = 3;
          InOrder in_order = 4;
        }}
    """
    return Case(model, contract, named(rows, "a", "b"), answers, columns=("a", "b"), targets=("height", "weight"))


def several_labels() -> Case:
    rows = numbers(7, 2)
    labels = np.column_stack((rows[:, 0] > 0, rows[:, 1] > 0.3)).astype(int)
    model = MultiOutputClassifier(LogisticRegression()).fit(rows, labels)
    rain, wind = model.predict_proba(rows)
    answers = [
        {
            "rain": bool(label[0]),
            "rain_probability": r[1],
            "wind": {"label": bool(label[1]), "probability": max(w)},
            "probabilities": {"rain": r[1], "wind": w[1]},
        }
        for label, r, w in zip(model.predict(rows).tolist(), rain.tolist(), wind.tolist(), strict=True)
    ]
    contract = f"""
        message Features {{ {NUMBER("a", 1)} {NUMBER("b", 2)} }}
        message Wind {{ bool label = 1; double probability = 2; }}
        message Response {{ bool rain = 1; double rain_probability = 2; Wind wind = 3; map<string, double> probabilities = 4; }}
    """
    return Case(model, contract, named(rows, "a", "b"), answers, columns=("a", "b"), targets=("rain", "wind"))


def isolation() -> Case:
    random = np.random.default_rng(8)
    pixels, shares = random.integers(0, 256, (ROWS, 3)), random.random((ROWS, 2)).round(3)
    rows = np.column_stack((pixels, shares))
    model = IsolationForest(n_estimators=20, random_state=0).fit(rows)
    documents = [
        {"pixels": base64.b64encode(bytes(p)).decode(), "shares": {"north": s[0], "south": s[1]}}
        for p, s in zip(pixels.tolist(), shares.tolist(), strict=True)
    ]
    found = zip(
        model.predict(rows).tolist(), model.score_samples(rows).tolist(), model.decision_function(rows).tolist(), strict=True
    )
    answers = [
        {
            "is_outlier": label < 0,
            "label": label,
            "score": score,
            "decision": decision,
            "state": ["STATE_INLIER", "", "STATE_OUTLIER"][1 - label],
        }
        for label, score, decision in found
    ]
    contract = """
        enum State { STATE_UNSPECIFIED = 0; STATE_OUTLIER = 1; STATE_INLIER = 2; }
        message Features {
          bytes pixels = 1 [(buf.validate.field).bytes = {len: 3, example: "abc"}];
          map<string, double> shares = 2 [(buf.validate.field).map = {
            min_pairs: 2, keys: {string: {in: ["south", "north"]}}, values: {double: {gte: 0, lte: 1, example: 0.5}}
          }];
        }
        message Response { bool is_outlier = 1; int32 label = 2; double score = 3; double decision = 4; State state = 5; }
    """
    columns = ("pixels[0]", "pixels[1]", "pixels[2]", "shares[north]", "shares[south]")
    return Case(model, contract, documents, answers, columns=columns)


def clusters() -> Case:
    rows = numbers(9, 2)
    model = KMeans(3, n_init=1, random_state=0).fit(rows)
    answers = [
        {"cluster": cluster, "distances": distances, "to_the_second": distances[1]}
        for cluster, distances in zip(model.predict(rows).tolist(), model.transform(rows).tolist(), strict=True)
    ]
    contract = f"""
        message Point {{ {NUMBER("x", 1)} {NUMBER("y", 2)} }}
        message Features {{ Point point = 1 [(buf.validate.field).required = true]; }}
        message Response {{
          uint32 cluster = 1;
          repeated double distances = 2;
          double to_the_second = 3 [(foretell.v1.output) = {{quantity: QUANTITY_DISTANCE, item: 1}}];
        }}
    """
    documents = [{"point": row} for row in named(rows, "x", "y")]
    return Case(model, contract, documents, answers, columns=("point.x", "point.y"))


def gaussian() -> Case:
    rows = numbers(12, 1)
    model = GaussianProcessRegressor(RBF() + WhiteKernel(), random_state=0).fit(
        rows[:40], np.sin(rows[:40, 0]) + numbers(13, 1)[:40, 0] / 5
    )
    mean, std = model.predict(rows, return_std=True)
    answers = [
        {"value": m, "std": s, "lower": m - 1.959963984540054 * s, "upper": m + 1.959963984540054 * s}
        for m, s in zip(mean.tolist(), std.tolist(), strict=True)
    ]
    contract = f"""
        message Features {{ {NUMBER("x", 1)} }}
        message Response {{ double value = 1; double std = 2; double lower = 3; double upper = 4; }}
    """
    return Case(model, contract, named(rows, "x"), answers, columns=("x",))


def quantiles() -> Case:
    rows = numbers(14, 2)
    frame = pd.DataFrame(rows, columns=["a", "b"])
    fitted = {
        name: GradientBoostingRegressor(loss="quantile", alpha=alpha, n_estimators=10).fit(frame, rows.sum(axis=1))
        for name, alpha in (("value", 0.5), ("lower", 0.1), ("upper", 0.9))
    }
    answers = named(
        np.column_stack([fitted[name].predict(frame) for name in ("lower", "value", "upper")]), "lower", "value", "upper"
    )
    contract = f"""
        message Features {{ {NUMBER("a", 1)} {NUMBER("b", 2)} }}
        message Response {{ double lower = 1; double value = 2; double upper = 3; }}
    """
    return Case(fitted, contract, named(rows, "a", "b"), answers)


CASES: dict[str, Callable[[], Case]] = {
    made.__name__: made
    for made in (
        logistic, svc, forest, boosting, ridge, several_numbers, several_labels, isolation, clusters, components, mixed, gaussian,
        quantiles, texts,
    )
}  # fmt: skip
