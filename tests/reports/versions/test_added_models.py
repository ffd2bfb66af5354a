"""`foretell add` holds a model against its contract: what no server would serve is refused at once, with the fix."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.errors import SetupError
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract

ROWS = pd.DataFrame({"a": [0.1, 0.2, 0.3, 0.4], "b": [1.0, 2.0, 3.0, 4.0]})
CLASSIFIER = LogisticRegression().fit(ROWS, ["no", "yes"] * 2)
REGRESSOR = LinearRegression().fit(ROWS, [1.0, 2.0, 3.0, 4.0])
A, B = (
    f"optional double {name} [(buf.validate.field) = {{required: true, double: {{gte: 0, lte: 5, example: 0.3}}}}]" for name in "ab"
)
TEXT = "optional string b [(buf.validate.field) = {required: true, string: {in: ['1.5', '2'], example: '2'}}]"
BYTES = "optional bytes b [(buf.validate.field) = {required: true, bytes: {min_len: 1}}]"


def from_text(rows: Any) -> Any:
    return np.asarray(rows, dtype=float)


READS_TEXT = make_pipeline(FunctionTransformer(from_text), LogisticRegression()).fit(ROWS, ["no", "yes"] * 2)


def add(folder: Path, model: object, *parts: str, name: str = "test", options: tuple[str, ...] = ()) -> Result:
    write_contract(folder / "protos", *parts)
    joblib.dump(model, folder / "model.joblib")
    arguments = ["add", str(folder / "model.joblib"), "--name", name, "--protos", str(folder / "protos")]
    return CliRunner().invoke(app, [*arguments, "--models", str(folder / "models"), "--columns", "a,b", *options])


@pytest.mark.parametrize(
    ("model", "parts", "reason", "fix"),
    [
        pytest.param(CLASSIFIER, [features(A), RESPONSE], "column 'b' has no field", "add a field with that name", id="column"),
        pytest.param(
            CLASSIFIER,
            [features(A, B), RESPONSE.replace("yes_p", "maybe_p")],
            "the model's class 'yes' has no <class>_probability field",
            "add one",
            id="class",
        ),
        pytest.param(REGRESSOR, [features(A, B), RESPONSE], "no_probability", "", id="kind"),
        pytest.param(
            CLASSIFIER,
            [features(A, B), RESPONSE.replace("= 2;", "= 2 [(buf.validate.field).double.gte = 0.99];")],
            "breaks yes_probability: must be greater",
            "change the rule: the model decides its answers",
            id="rule",
        ),
        pytest.param(
            READS_TEXT,
            [features(A, TEXT), RESPONSE],
            "b is text, but the model's column 'b' holds numbers",
            "show the types of its columns by --data FILE, or by golden rows",
            id="text",
        ),
        pytest.param(
            READS_TEXT,
            [features(A, BYTES), RESPONSE],
            "b is bytes, but the model's column 'b' holds numbers",
            "show the types of its columns by --data FILE, or by golden rows",
            id="bytes",
        ),
    ],
)
def test_model_that_does_not_fit_is_not_added(tmp_path: Path, model: object, parts: list[str], reason: str, fix: str) -> None:
    refused = add(tmp_path, model, SERVICE, *parts)
    assert isinstance(refused.exception, SetupError), refused.output
    text = str(refused.exception)
    assert text.startswith("the model does not fit its contract: test/v1/test.proto:")
    assert "\n" not in text
    assert reason in text
    assert fix in text
    assert not (tmp_path / "models").exists()


def test_golden_rows_show_the_types(tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text('{"features": {"a": 0.1, "b": "1.5"}, "outputs": {}}')
    added = add(tmp_path, READS_TEXT, SERVICE, features(A, TEXT), RESPONSE, options=("--golden", str(golden)))
    assert added.exit_code == 0, added.output
    assert added.stdout.splitlines()[1] == "production of test is version 1"


def test_later_version_says_what_stays(tmp_path: Path) -> None:
    add(tmp_path, CLASSIFIER, SERVICE, features(A, B), RESPONSE)
    added = add(tmp_path, CLASSIFIER, SERVICE, features(A, B), RESPONSE)
    assert added.stdout.splitlines()[1] == "production of test stays version 1: `foretell promote test 2` moves it"


def test_model_of_no_contract_is_added(tmp_path: Path) -> None:
    added = add(tmp_path, CLASSIFIER, SERVICE, features(A), RESPONSE, name="other")
    assert added.exit_code == 0, added.output
