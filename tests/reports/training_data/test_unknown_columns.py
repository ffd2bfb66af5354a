"""A fitted estimator that does not know its columns gets them from the data or --columns, in the form that it was fitted on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelError
from grpc_server.store.repository import Repository
from tests.support.models.without_columns import (
    Bare,
    ByIndex,
    ByName,
    Doubled,
    Keyword,
    Logarithm,
    LowerCase,
    OnlyMixin,
    TextLengths,
)
from tests.support.servers.drafted_models import answers_by_both_doors, draft, init, refusal, serving_drafts
from tests.support.servers.many_models import BridgedServer

# As in the server.
pytestmark = [
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
    pytest.mark.timeout(400),
]  # A module drafts many contracts.

X = np.random.default_rng(0).normal(size=(200, 2)).round(3)
Y = np.where(X[:, 0] > X[:, 1], "up", "down")
NUMBERS = pd.DataFrame(X, columns=["a", "b"])
MIXED = pd.DataFrame({"color": np.where(X[:, 0] > 0, "red", "light blue"), "size": X[:, 1]})
TEXTS = pd.DataFrame({"text": [f"{'Red' if a > 0 else 'blue'} fish no {index}" for index, a in enumerate(X[:, 0])]})


def shout(texts: Any) -> Any:
    return [text.upper() for text in texts]


@dataclass
class Case:
    estimator: Any
    fitted_on: Any
    """What a user passes to the estimator."""
    frame: pd.DataFrame
    """The same as a table."""
    target: Any


def numbers(estimator: Any, *, on_frame: bool = False) -> Case:
    return Case(estimator, NUMBERS if on_frame else X, NUMBERS, Y)


def texts(estimator: Any) -> Case:
    return Case(estimator, TEXTS["text"].tolist(), TEXTS, Y)


def vectorized(vectorizer: Any = None) -> Any:
    return make_pipeline(vectorizer or TfidfVectorizer(), LogisticRegression())


CASES = {
    # ageron/handson-ml#135, scikit-learn#17597: a pipeline asks its first step for the number of columns.
    "logarithm": numbers(make_pipeline(Logarithm(), LogisticRegression())),
    "by_index": numbers(make_pipeline(ByIndex(), LogisticRegression())),
    "by_name": numbers(make_pipeline(ByName(), LogisticRegression()), on_frame=True),
    "bare": numbers(make_pipeline(Bare(), LogisticRegression())),
    "only_mixin": numbers(make_pipeline(OnlyMixin(), LogisticRegression())),
    "mixed": Case(make_pipeline(TextLengths(), LogisticRegression()), MIXED, MIXED, Y),
    # scikit-learn#17597.
    "dictionaries": Case(vectorized(DictVectorizer()), MIXED.to_dict("records"), MIXED, Y),
    "hashed": Case(vectorized(FeatureHasher(32)), MIXED.to_dict("records"), MIXED, Y),
    "isotonic": Case(IsotonicRegression(out_of_bounds="clip"), X[:, 0], NUMBERS[["a"]], X[:, 0] + X[:, 1]),
    "doubled": Case(Doubled(), X[:, 0], NUMBERS[["a"]], X[:, 1]),
    "texts": texts(vectorized()),
    "lower_case": texts(make_pipeline(LowerCase(), TfidfVectorizer(lowercase=False), LogisticRegression())),
    "function": texts(make_pipeline(FunctionTransformer(shout), TfidfVectorizer(lowercase=False), LogisticRegression())),
    "union": texts(vectorized(FeatureUnion([("words", TfidfVectorizer()), ("counts", CountVectorizer())]))),
    "search": texts(GridSearchCV(vectorized(), {"logisticregression__C": [1, 2]}, cv=2)),
    "calibrated": texts(CalibratedClassifierCV(vectorized(), cv=2)),
    "voting": texts(VotingClassifier([("one", vectorized()), ("two", vectorized(CountVectorizer()))], voting="soft")),
    "keyword": texts(Keyword()),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("columns")
    for name, case in CASES.items():
        case.estimator.fit(case.fitted_on, case.target)
        case.frame.assign(y=case.target).to_csv(root / f"{name}.csv", index=False)
        draft(root, name, case.estimator, "--data", root / f"{name}.csv", "--target", "y")
    with serving_drafts(root) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_both_doors_give_the_estimators_answers(server: BridgedServer, name: str) -> None:
    case = CASES[name]
    rows = case.frame.head(20).to_dict("records")
    answers = answers_by_both_doors(server, name, rows)
    head = case.fitted_on[:20]
    if hasattr(case.estimator, "predict_proba"):
        expected = case.estimator.predict_proba(head)[:, list(case.estimator.classes_).index("up")]
        assert [answer["up_probability"] for answer in answers] == pytest.approx(expected, rel=1e-9)
    elif hasattr(case.estimator, "classes_"):
        assert [answer["y"] for answer in answers] == [f"Y_{label.upper()}" for label in case.estimator.predict(head)]
    else:
        assert [answer["value"] for answer in answers] == pytest.approx(case.estimator.predict(head), rel=1e-9)


@pytest.mark.parametrize("name", ["logarithm", "by_index", "hashed"])
def test_columns_without_a_name_anywhere_are_asked_for(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    model = case.estimator.fit(case.fitted_on, case.target)
    assert refusal(tmp_path, "m", model) == "the model does not know which columns it takes: pass --columns a,b,c or --data FILE"
    with pytest.raises(ModelError, match=r"m.joblib does not name its columns .*: pass --columns a,b,c$"):
        add_model(Repository(tmp_path / "models"), tmp_path / "m.joblib", "m")
    columns = tuple(case.frame.columns)
    assert init(tmp_path, "m", model, "--columns", ",".join(columns)).exit_code == 0
    add_model(Repository(tmp_path / "models"), tmp_path / "m.joblib", "m", columns)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("pair", [[("a", 1.0)], [("b", 2.0)]] * 20), ("string", [["a", "b"], ["c"]] * 20)],
)
def test_lists_of_tokens_are_refused(tmp_path: Path, kind: str, rows: Any) -> None:
    model = vectorized(FeatureHasher(8, input_type=kind)).fit(rows, ["no", "yes"] * 20)
    assert refusal(tmp_path, "m", model) == (
        f"FeatureHasher(input_type='{kind}') takes a list for each row, but the columns of a row are single values: "
        "train it with input_type='dict', or use HashingVectorizer for a text"
    )


@pytest.mark.parametrize(
    "estimator", [LinearRegression(), make_pipeline(Logarithm(), LinearRegression()), TfidfVectorizer(), object()]
)
def test_unfitted_estimators_are_refused(tmp_path: Path, estimator: Any) -> None:
    assert "is no fitted estimator that predicts or transforms new rows: save one" in refusal(tmp_path, "m", estimator)
