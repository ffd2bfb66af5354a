"""`foretell check` compares the rules of a contract with the training data of its model."""

import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from typer.testing import CliRunner, Result

from foretell.check.training_fit import training_problems
from foretell.cli import app
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from grpc_server.store.manifest import Manifest
from grpc_server.store.repository import Bundle, Repository
from grpc_server.store.training_values import ColumnValues, TrainingValues
from tests.support.contract_files import WELL_KNOWN, write_contract

pytestmark = pytest.mark.slow

SERVICE = """
// Answers.
service TestService {
  // Predict answers.
  rpc Predict(Features) returns (Response);
}
// Response is an answer.
message Response {
  // Probability of no.
  double no_probability = 1;
  // Probability of yes.
  double yes_probability = 2;
}
"""
FRAME = pd.DataFrame(
    {
        "length": np.linspace(4.3, 7.9, 30),
        "since": 1767225600 + 86400 * np.arange(30),
        "town": np.resize(["Bern", "Basel", "Zug"], 30),
    }
)
KINDS = np.resize(["no", "yes"], 30)
SINCE = "example: {seconds: 1767830400}"
TIMES = 'import "google/protobuf/timestamp.proto";'
PLACE = "test/v1/test.proto"


def fields(
    length: str, since: str = "gte: {seconds: 1767225600}", town: str = "string town", rules: str = "string: {max_len: 9"
) -> str:
    """The fields of Features stand on lines 24, 26 and 28."""
    example = '"Bern"' if town.startswith("string") else 1
    return f"""
// Features is a row.
message Features {{
  // Its length.
  optional double length = 1 [(buf.validate.field) = {{required: true, double: {{{length}, example: 5}}}}];
  // Since when.
  google.protobuf.Timestamp since = 2 [(buf.validate.field) = {{required: true, timestamp: {{{since}, {SINCE}}}}}];
  // Where.
  optional {town} = 3 [(buf.validate.field) = {{required: true, {rules}, example: {example}}}}}];
}}
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its data, and two repositories: one of a version added with the data, one with golden rows."""
    root = tmp_path_factory.mktemp("fit")
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["town"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(FRAME, KINDS)
    joblib.dump(model, root / "model.joblib")
    FRAME.to_csv(root / "data.csv", index=False)
    golden = [{"features": row} for row in FRAME.iloc[[0, 29]].to_dict("records")]
    (root / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in golden))
    for folder, option, file in (("whole", "--data", "data.csv"), ("sample", "--golden", "golden.jsonl")):
        done = run("add", root / "model.joblib", "--name", "test", option, root / file, "--models", root / folder)
        assert done.exit_code == 0, done.output
    return root


def found(root: Path, models: Path, *parts: str) -> list[str]:
    done = run(
        "check", "--protos", write_contract(root, 'import "google/protobuf/timestamp.proto";', SERVICE, *parts), "--models", models
    )
    assert done.exit_code == 0, done.output
    return done.output.splitlines()[:-1]


FINE = "gte: 0, lte: 30"


def test_version_stores_a_summary_of_the_data(trained: Path) -> None:
    training = Repository(trained / "whole").read("test", "1").manifest.training
    assert training is not None
    assert training.rows == 30
    length, town = training.columns["length"], training.columns["town"]
    assert (length.low, length.high, length.missing, length.texts) == (4.3, 7.9, 0, ())
    assert (town.low, town.high, town.texts) == (None, None, ("Basel", "Bern", "Zug"))
    assert Repository(trained / "sample").read("test", "1").manifest.training is None


@pytest.mark.parametrize(
    ("contract", "lines"),
    [
        pytest.param(fields(FINE), [], id="fine"),
        pytest.param(
            fields("gte: 5, lte: 30"),
            [
                f"{PLACE}:24: warning: the bounds of test.v1.Features.length exclude some of the training data (4.3 to 7.9). "
                "Fix: widen them, or train without such rows."
            ],
            id="excludes",
        ),
        pytest.param(
            fields("gte: -1000, lt: 1e6"),
            [
                f"{PLACE}:24: warning: the bounds of test.v1.Features.length allow values down to -1000 "
                "and up to 999999.9999999999, far beyond the training data (4.3 to 7.9). "
                "Fix: narrow them: the model was not trained on such values."
            ],
            id="far",
        ),
        pytest.param(
            fields("finite: true"),
            [
                f"{PLACE}:24: warning: the bounds of test.v1.Features.length allow any number, "
                "far beyond the training data (4.3 to 7.9). "
                "Fix: narrow them: the model was not trained on such values."
            ],
            id="any",
        ),
        pytest.param(
            fields(FINE, since="gte: {seconds: 1767312000}"),
            [
                f"{PLACE}:26: warning: the bounds of test.v1.Features.since exclude some of the training data "
                "(2026-01-01 to 2026-01-30). Fix: widen them, or train without such rows."
            ],
            id="time",
        ),
        pytest.param(
            fields(FINE, rules="string: {max_len: 4"),
            [
                f"{PLACE}:28: warning: the rules of test.v1.Features.town exclude texts of the training data, such as 'Basel'. "
                "Fix: widen them, or train without such rows."
            ],
            id="text",
        ),
        pytest.param(
            fields(FINE, town="Town town", rules="enum: {defined_only: true, not_in: 0")
            + "// Towns.\nenum Town {\n  // None.\n  TOWN_UNSPECIFIED = 0;\n  // Bern.\n  TOWN_BERN = 1;\n"
            + "  // Zug.\n  TOWN_ZUG = 2;\n}\n",
            [
                f"{PLACE}:31: warning: test.v1.Town has no value for 'Basel', which is in the training data. "
                'Fix: add one, or set (foretell.v1.label) = "Basel" on one.'
            ],
            id="enum",
        ),
    ],
)
def test_excluding_and_far_rules_are_warnings(trained: Path, tmp_path: Path, contract: str, lines: list[str]) -> None:
    assert found(tmp_path, trained / "whole", contract) == lines


def test_golden_rows_show_excluded_values_only(trained: Path, tmp_path: Path) -> None:
    assert found(tmp_path / "far", trained / "sample", fields("gte: -1000, lt: 1e6")) == []
    assert found(tmp_path / "excludes", trained / "sample", fields("gte: 5, lte: 30")) == [
        f"{PLACE}:24: warning: the bounds of test.v1.Features.length exclude some of the golden rows (4.3 to 7.9). "
        "Fix: widen them, or train without such rows."
    ]


@pytest.mark.parametrize(
    ("rules", "start"),
    [
        pytest.param("gte: {seconds: 0}, lte: {seconds: 7200}", "", id="fine"),
        pytest.param(
            "gte: {seconds: 90}, lte: {seconds: 7200}", "exclude some of the training data (1m to 1h1m1.5s)", id="excludes"
        ),
        pytest.param("gte: {seconds: 0}, lte: {seconds: 864000}", "allow values up to 10d, far beyond", id="far"),
        pytest.param("gte: {seconds: 60}", "allow values up to inf, far beyond the training data (1m to 1h1m1.5s)", id="half"),
        pytest.param("", "allow any duration, far beyond the training data (1m to 1h1m1.5s)", id="any"),
    ],
)
def test_duration_rules_are_compared_in_seconds(tmp_path: Path, rules: str, start: str) -> None:
    field = f"google.protobuf.Duration wait = 1 [(buf.validate.field) = {{required: true, duration: {{{rules}}}}}];"
    contract = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, f"message Features {{ {field} }}"))
    training = TrainingValues(rows=30, columns={"wait": ColumnValues(low=60, high=3661.5)})
    manifest = Manifest.model_construct(columns=("wait",), dtypes={}, training=training)
    reasons = [each.reason for each in training_problems(contract, contract.services[0], Bundle("test", "1", manifest, b"", ()))]
    assert [reason.removeprefix("the bounds of test.v1.Features.wait ")[: len(start)] for reason in reasons] == [start] * bool(
        start
    )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        pytest.param(
            FRAME.drop(columns="town").assign(twon="Zug"), 'other.csv has no column \'town\'; did you mean "twon"?', id="column"),
        pytest.param(
            FRAME.assign(length="long"),
            "the column 'length' holds 'long' in the data, but the model takes numbers there: "
            "correct row 1, or train the model on this data",
            id="text"),
    ],
)  # fmt: skip
def test_data_of_another_model_is_refused(trained: Path, tmp_path: Path, frame: pd.DataFrame, message: str) -> None:
    frame.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(SetupError) as refusal:
        run("add", trained / "model.joblib", "--name", "test", "--data", tmp_path / "other.csv", "--models", tmp_path / "models")
    assert str(refusal.value) == message
    assert not (tmp_path / "models").exists()
