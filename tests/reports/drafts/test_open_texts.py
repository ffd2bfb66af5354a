"""A text that the model copes with is accepted: the draft follows what the model answers when it is tried, unless `--strict`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from tests.support.servers.drafted_models import answers_by_both_doors, draft, init, serving_drafts
from tests.support.servers.many_models import BridgedServer

# As in the server.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:X does not have valid feature names", "ignore:Found unknown categories"),
    pytest.mark.timeout(400),
]  # A module drafts many contracts.

RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame({"size": RANDOM.normal(size=120).round(2), "town": RANDOM.choice(["Bern", "Zug", "NA"], 120)})
Y = np.where((FRAME["town"] == "Zug") | (FRAME["size"] > 1), "yes", "no")
STRANGE = ["Chur", "", "NA", "x" * 5000, "Zug"]


@dataclass
class Case:
    encoder: Any
    columns: Any = ("town",)
    opens: bool = True

    @cached_property
    def fitted(self) -> Any:
        encode = make_column_transformer((self.encoder, self.columns if isinstance(self.columns, str) else list(self.columns)))
        return make_pipeline(encode, LogisticRegression()).fit(FRAME[["town"]], Y)


CASES = {
    "ignored": Case(OneHotEncoder(handle_unknown="ignore")),
    "infrequent": Case(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=45)),
    "coded": Case(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
    "target": Case(TargetEncoder()),
    "words": Case(TfidfVectorizer(), "town"),
    "hashed": Case(HashingVectorizer(n_features=16), "town"),
    "refused": Case(OneHotEncoder(), opens=False),
    "refused_codes": Case(OrdinalEncoder(), opens=False),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("open")
    FRAME[["town"]].assign(y=Y).to_csv(root / "data.csv", index=False)
    for name, case in CASES.items():
        draft(root, name, case.fitted, "--data", root / "data.csv", "--target", "y")
    with serving_drafts(root) as server:
        yield server


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.opens])
def test_strange_texts_get_the_estimators_answers(server: BridgedServer, name: str) -> None:
    expected = CASES[name].fitted.predict_proba(pd.DataFrame({"town": STRANGE}))[:, 1]
    answers = answers_by_both_doors(server, name, [{"town": text} for text in STRANGE])
    assert [answer["yes_probability"] for answer in answers] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.opens])
def test_texts_on_which_the_model_fails_are_refused_by_the_contract(server: BridgedServer, name: str) -> None:
    method = server.methods[f"{name}.Predict"]
    refused = server.rest(method, [{"town": text} for text in ("Chur", "", "x" * 5000)])
    assert [response.status_code for response in refused] == [422] * 3
    accepted = server.rest(method, [{"town": "TOWN_NA"}, {"town": "TOWN_ZUG"}])
    assert [response.status_code for response in accepted] == [200] * 2


@pytest.mark.parametrize(
    ("flags", "comment", "rules"),
    [
        (
            (),
            "Town, a text of up to 10,000 characters; the model was trained on Bern, NA, Zug, and answers other texts too.",
            "string.max_len = 10000",
        ),
        (("--strict",), "Town, one of 3 values.", "enum.defined_only = true"),
    ],
    ids=["open", "strict"],
)
def test_comment_says_what_is_accepted(tmp_path: Path, flags: tuple[str, ...], comment: str, rules: str) -> None:
    FRAME[["town"]].assign(y=Y).to_csv(tmp_path / "data.csv", index=False)
    done = init(tmp_path, "m", CASES["ignored"].fitted, "--data", tmp_path / "data.csv", "--target", "y", *flags)
    assert done.exit_code == 0, done.output
    contract = (tmp_path / "protos/m/v1/m.proto").read_text()
    assert comment in " ".join(contract.replace("//", "").split())
    assert rules in contract


def test_free_text_is_bounded_by_the_data_if_strict(tmp_path: Path) -> None:
    texts = pd.DataFrame({"text": [f"line {index}" for index in range(60)]})
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts["text"], np.arange(60) % 2)
    texts.to_csv(tmp_path / "data.csv", index=False)
    assert init(tmp_path, "m", model, "--data", tmp_path / "data.csv", "--strict").exit_code == 0
    contract = (tmp_path / "protos/m/v1/m.proto").read_text()
    assert "string.min_len = " in contract
    assert "string.max_len = " in contract
    assert "string.max_len = 10000" not in contract
