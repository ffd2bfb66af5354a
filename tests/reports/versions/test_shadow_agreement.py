"""What a shadow's comparison says, by the kind of the answers: only labels agree, numbers shift."""

import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import joblib
import pytest
from sklearn.cluster import KMeans
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner

from foretell.cli import app
from foretell.versions.model_table import shadow_line
from foretell.versions.target import response_type
from foretell_contract.contract import load
from grpc_server.calls.admission import Admission
from grpc_server.calls.batcher import Job
from grpc_server.calls.call import Call
from grpc_server.checks.gates import Gates
from grpc_server.loading.loader import Loader
from grpc_server.services.model_list import describe_shadow
from grpc_server.settings import ServerSettings
from grpc_server.shadow.shadow import Shadow
from grpc_server.shadow.shadow_log import ShadowLog, shadow_log_folder
from tests.support.processes import until
from tests.support.servers.drafted_models import init

pytestmark = pytest.mark.slow

ROWS = [[0.0], [1.0], [10.0], [11.0]]


def constant(answer: Any) -> Any:
    kind = DummyClassifier if isinstance(answer, str) else DummyRegressor
    return kind(strategy="constant", constant=answer).fit(ROWS, ["a", "b"] * 2 if isinstance(answer, str) else [answer] * 4)


@pytest.mark.parametrize(
    ("ours", "theirs", "agreement", "shift"),
    [
        pytest.param(constant(1.0), constant(5.0), None, 4.0, id="regressor"),
        pytest.param(*(LinearRegression().fit(ROWS, [sum(row) + more for row in ROWS]) for more in (0, 4)), None, 4.0, id="line"),
        pytest.param(constant("a"), constant("b"), 0.0, 1.0, id="classifier"),
        pytest.param(*[KMeans(2, n_init=1, random_state=0).fit(ROWS)] * 2, 1.0, 0.0, id="clusterer"),
        pytest.param(*[IsolationForest(n_estimators=2, random_state=0).fit(ROWS)] * 2, 1.0, 0.0, id="outliers"),
    ],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_only_labels_agree(tmp_path: Path, ours: Any, theirs: Any, agreement: float | None, shift: float) -> None:
    assert init(tmp_path, "m", ours, "--columns", "x").exit_code == 0
    joblib.dump(theirs, tmp_path / "second.joblib")
    models = ("--models", str(tmp_path / "models"))
    added = CliRunner().invoke(app, ["add", str(tmp_path / "second.joblib"), "--name", "m", "--columns", "x", *models])
    assert added.exit_code == 0, added.exception
    settings = ServerSettings(models=tmp_path / "models", protos=tmp_path / "protos", placement="inline")
    loader = Loader("m", load(settings.protos), settings, Admission())
    production, second = (loader.load(version, Gates(version)) for version in ("1", "2"))
    method = production.models[0].service.methods[0]
    request, call = method.request(x=1.0).SerializeToString(), Call("id", time.monotonic() + 60)

    answers: SimpleQueue[Any] = SimpleQueue()
    rows = production.models[0].bindings[method.name].model_rows([method.request(x=1.0)])
    production.models[0].batcher.submit(Job(rows, call, answers.put, lambda: None))
    production.models[0].batcher.run_waiting()
    shadow = Shadow(second, ShadowLog(shadow_log_folder(settings, "m"), "2", 10**6), features=False)
    shadow.watch(method.path, request, call, production)(answers.get())

    def compared() -> bool:
        second.models[0].batcher.run_waiting()
        return shadow.comparison.compared + shadow.comparison.failed == 1

    until(compared)
    shadow.close()
    shadow.wait(60)

    described = response_type()().following.add().shadow  # type: ignore[attr-defined]
    describe_shadow(described, shadow)
    agrees = "" if agreement is None else f", {agreement:.0%} agree".replace("%", " %")
    assert shadow_line(described).startswith(f"shadow 2: 1 rows compared{agrees}; largest shift {shift:.3g}, mean {shift:.3g}; ")
    report = CliRunner().invoke(app, ["shadow-report", "m", *models, "--json"])
    assert f'"agreement": {"null" if agreement is None else agreement}' in report.stdout, report.exception
