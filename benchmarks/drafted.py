"""Workloads as people have them: a model and its training data, from which `foretell init` drafts the contract."""

import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from benchmarks.baselines.post_app import INPUTS
from benchmarks.workloads import Matrix, Workload, run

TARGET = "y"


@dataclass(frozen=True, slots=True, eq=False)
class Drafted(Workload):
    """A classifier, served by `foretell init MODEL --data CSV --target y` and nothing else; `data` is a data frame.

    Its answers have the label, as a number, before the probabilities.
    """

    target: Any = ()
    """The label of each row of the data."""
    form: str = "matrix"
    """What the model is fitted on, a name of `INPUTS`."""

    def rows(self, count: int) -> Any:
        """See Workload."""
        return self.data.iloc[np.resize(np.arange(len(self.data)), count)]

    def records(self, count: int) -> list[dict[str, Any]]:
        """See Workload; a missing value is left out."""
        rows = self.rows(count).to_dict("records")
        return [{name: value for name, value in row.items() if value == value} for row in rows]  # NaN is not itself.

    def predictions(self, rows: Any) -> Matrix:
        """See Workload."""
        given = INPUTS[self.form](rows.to_dict("records"))
        codes = self.codes
        labels = [codes[label] for label in self.estimator.predict(given).tolist()]
        return np.column_stack([labels, self.estimator.predict_proba(given)])

    def numbers(self, value: Any) -> list[float]:
        """See Workload."""
        return [self.codes[value(TARGET)], *(value(name) for name in self.fields)]

    @property
    def codes(self) -> dict[Any, int]:
        """The number of each label: an integer itself; for a text that of its enum value, which has a name in JSON."""
        codes: dict[Any, int] = {}
        for number, label in enumerate(self.estimator.classes_.tolist(), 1):
            forms = (number, label, f"{TARGET}_{label}".upper()) if isinstance(label, str) else (label,)
            codes |= dict.fromkeys(forms, number if isinstance(label, str) else label)
        return codes

    @property
    def fields(self) -> list[str]:
        """See Workload."""
        return [f"{name}_probability" if isinstance(name, str) else f"class_{name}_probability" for name in self.estimator.classes_]

    @property
    def path(self) -> str:
        """See Workload."""
        return f"/{self.name}/predict"

    def post_app(self) -> tuple[Any, ...]:
        """See Workload."""
        kinds = {
            name: "text" if values.dtype == "str" else "gap" if values.hasnans else "number" for name, values in self.data.items()
        }
        return self.path, self.estimator, kinds, self.fields, self.form, TARGET

    def add(self, folder: Path, _kinds: Iterable[str]) -> None:
        """Write the data, and run `foretell init`."""
        self.data.assign(**{TARGET: self.target}).to_csv(folder / f"{self.name}.csv", index=False)
        files = (f"{self.name}.joblib", "--data", f"{self.name}.csv")
        run(folder, [sys.executable, "-m", "foretell", "init", *files, "--target", TARGET])


def _fitted(name: str, estimator: Any, data: Any, target: Any, form: str = "matrix") -> Workload:
    """A model trained as the post trains."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # scikit-learn 1.11 removes SVC(probability=True).
        estimator.fit(INPUTS[form](data.to_dict("records")), target)
    return Drafted(name, tuple(data.columns), estimator, data, target=target, form=form)


def iris() -> Workload:
    """The post's model."""
    bunch = load_iris()
    data = pd.DataFrame(bunch.data, columns=["sepal_length", "sepal_width", "petal_length", "petal_width"])
    return _fitted("iris", SVC(probability=True, random_state=0), data, bunch.target_names[bunch.target])


def _tumours(name: str, estimator: Any, *, missing: float = 0.0, numbers: bool = False) -> Workload:
    """30 numbers of 569 tumours, a share of them missing, and their kind as a text or a number."""
    bunch = load_breast_cancer()
    data = pd.DataFrame(bunch.data, columns=[name.replace(" ", "_") for name in bunch.feature_names])
    gaps = np.random.default_rng(0).random(data.shape) < missing
    return _fitted(name, estimator, data.mask(gaps), bunch.target if numbers else bunch.target_names[bunch.target])


forest = partial(_tumours, "forest", RandomForestClassifier(100, random_state=0))
boosting = partial(_tumours, "boosting", HistGradientBoostingClassifier(random_state=0), missing=0.1)
xgboost = partial(_tumours, "xgboost", XGBClassifier(), numbers=True)


def categories() -> Workload:
    """Two categories and two numbers of 500 customers, in a pipeline on a data frame."""
    made = np.random.default_rng(0)
    plan, country = made.choice(["basic", "pro", "team"], 500), made.choice(["de", "es", "fr", "it", "nl", "pl"], 500)
    age, spent = made.integers(18, 80, 500).astype(float), made.gamma(2, 30, 500).round(2)
    data = pd.DataFrame({"plan": plan, "country": country, "age": age, "spent": spent})
    left = np.where((age < 40) * 1.0 + (plan == "basic") + (spent < 50) + made.random(500) > 2, "left", "stayed")
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["plan", "country"]), (StandardScaler(), ["age", "spent"])
    )
    return _fitted("categories", make_pipeline(encoded, LogisticRegression()), data, left, "frame")


def text() -> Workload:
    """300 texts of twelve words about three topics."""
    made = np.random.default_rng(0)
    topics = {topic: [f"{topic}{number}" for number in range(40)] for topic in ("parcel", "refund", "praise")}
    common = [f"word{number}" for number in range(200)]
    target = made.choice(list(topics), 300)
    data = pd.DataFrame({"text": [" ".join(made.choice(topics[topic] + common, 12)) for topic in target]})
    return _fitted("text", make_pipeline(TfidfVectorizer(), LogisticRegression()), data, target, "text")
