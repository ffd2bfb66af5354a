"""`foretell init` on random tables and estimators: every door answers as the estimator does, or one line refuses the model.

`make check` tries fourteen tables for each estimator, `HYPOTHESIS_PROFILE=thorough` 220.
"""

import tempfile
import warnings
import zlib
from pathlib import Path

import joblib
import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, assume, given, seed, settings
from typer.testing import CliRunner

from foretell.cli import app
from foretell_contract.errors import SetupError
from tests.support.effort import THOROUGH, tries
from tests.support.models.random_tables import ESTIMATORS, Plan, features, plans
from tests.support.servers.drafted_answers import Expected, requests
from tests.support.servers.many_models import as_document, served

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]

ASKED = 50


def drafted(folder: Path, plan: Plan, data: Path) -> str:
    """Runs `foretell init`; the refusal, or empty."""
    target = ["--target", plan.target] if plan.task != "none" else []
    folders = ["--protos", str(folder / "protos"), "--models", str(folder / "models")]
    command = ["init", str(folder / "model.joblib"), "--package", "made.v1", "--data", str(data), *target, *folders]
    try:
        done = CliRunner().invoke(app, command, catch_exceptions=False)
    except SetupError as error:
        return str(error) or "no reason"
    assert done.exit_code == 0, done.output
    return ""


@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_every_door_answers_as_the_estimator(estimator: str) -> None:
    @settings(max_examples=tries(2, 220, 14), deadline=None, suppress_health_check=list(HealthCheck))
    @given(plan=plans(estimator))
    def answered(plan: Plan) -> None:
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(Path(name), plan)

    if not THOROUGH:  # The same tables in each run, and others for each estimator.
        answered = seed(zlib.crc32(estimator.encode()))(answered)
    answered()


def check(folder: Path, plan: Plan) -> str:
    """The refusal of `init`, or empty if the served answers are the estimator's. Raises AssertionError for anything else."""
    try:
        data, frame = plan.written(folder)
        model = plan.fitted(frame)
    except Exception:  # The library cannot take this table, which is no concern of a server.
        assume(False)
    joblib.dump(model, folder / "model.joblib")
    refusal = drafted(folder, plan, data)
    if refusal:
        assert_plain(refusal)
        return refusal
    rows = features(frame, len(plan.columns)).head(ASKED)
    with served(folder / "protos", folder / "models") as server:
        method = server.methods["made.Predict"]
        expected = Expected(server.contract, method.answer, model, rows)
        documents = requests(server.contract, method.input, rows)
        messages = [json_format.ParseDict(document, method.request()) for document in documents]
        answers = server.grpc(method, messages)
        responses = server.rest(method, documents)
    for row, (answer, response) in enumerate(zip(answers, responses, strict=True)):
        assert not isinstance(answer, Exception), (row, answer, documents[row])
        assert response.status_code == 200, (row, response.text, documents[row])
        assert not expected.differences(row, as_document(answer)), ("gRPC", row, expected.differences(row, as_document(answer)))
        assert not expected.differences(row, response.json()), ("REST", row, expected.differences(row, response.json()))
    return ""


def assert_plain(refusal: str) -> None:
    """One line that names a fix, without a traceback or the text of an exception."""
    assert "\n" not in refusal, refusal
    assert "Traceback" not in refusal, refusal
    for word in ("Error(", "Error:", "Exception", "<class", "object at 0x"):
        assert word not in refusal, refusal
