"""The cases that people get: drafted contracts and the post's app, compared on every row of the training data."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest

from benchmarks import load, rounds
from benchmarks.cases import CASES, Load
from benchmarks.page.report import report
from benchmarks.process import Running, running
from benchmarks.protocols import WrongAnswer
from benchmarks.rounds import Stage
from benchmarks.servers import DRAFTED, POST, SERVERS, SHIPPED, Server
from benchmarks.workloads import AS_TRAINED, CONVERTED, Workload

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.xdist_group("drafted cases")]

NAMED = {server.name: server for server in SERVERS}
POST_APP, GRPC, REST = NAMED[POST], NAMED["foretell serve, gRPC"], NAMED["foretell serve, REST"]
BY_NAME = {case.name: case for case in CASES}
TEXT = replace(BY_NAME[DRAFTED["text"]], loads=(Load("text", 1, 1),))


@pytest.fixture(scope="module")
def trained() -> dict[str, Workload]:
    made = [make() for name in DRAFTED.values() for make in BY_NAME[name].workloads]
    return {workload.name: workload for workload in made}


@pytest.fixture(scope="module")
def post_app(trained: dict[str, Workload], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("post")
    (folder / "post").mkdir()
    for name, workload in trained.items():
        joblib.dump(workload.post_app(), folder / "post" / f"{name}.joblib")
    with running(POST_APP, folder, POST_APP.protocol.request(folder, trained["iris"], 1)) as process:
        yield process


@pytest.mark.parametrize("name", DRAFTED)
def test_post_app_answers_as_the_estimator(post_app: Running, trained: dict[str, Workload], name: str, tmp_path: Path) -> None:
    workload = trained[name]
    requests = [POST_APP.protocol.request(tmp_path, row, 1) for row in [*workload.single_rows()][::40]]
    requests.append(POST_APP.protocol.request(tmp_path, workload, 20))
    for request, answer in zip(requests, POST_APP.protocol.send(post_app.port, *requests), strict=True):
        request.check(answer, None, AS_TRAINED)
        wrong = np.array(request.expected)
        wrong[-1, 0] += 1
        with pytest.raises(WrongAnswer, match="is wrong"):
            replace(request, expected=wrong).check(answer, None, CONVERTED)


@pytest.mark.parametrize("name", ["iris", "xgboost"])
def test_labels_are_numbers_in_every_form(trained: dict[str, Workload], name: str) -> None:
    workload = trained[name]
    last = workload.estimator.classes_.tolist()[-1]
    probabilities = dict.fromkeys(workload.fields, 0.5)
    forms = {"iris": ("virginica", "Y_VIRGINICA", 3), "xgboost": (1,)}[name]
    assert last == forms[0]
    assert {workload.numbers({"y": form, **probabilities}.__getitem__)[0] for form in forms} == {forms[-1]}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with rounds.stage(TEXT, (GRPC, REST)) as ready:
        yield ready


@pytest.mark.skipif(not load.available(), reason=load.MISSING)
@pytest.mark.parametrize("server", [GRPC, REST], ids=lambda server: server.name)
def test_drafted_case_is_measured(stage: Stage, server: Server) -> None:
    ((asked, figures),) = rounds.turn(server, stage, 1)
    assert asked == TEXT.loads[0]
    assert figures.per_second > 0


def test_one_wrong_row_stops_the_turn(stage: Stage) -> None:
    class Other(type(stage.served["text"])):  # type: ignore[misc]
        __slots__ = ()

        def predictions(self, rows: object) -> object:
            found = super().predictions(rows)
            found[-1] = np.roll(found[-1], 1)
            return found

    text = stage.served["text"]
    other = Other(**{name: getattr(text, name) for name in type(text).__dataclass_fields__})
    with pytest.raises(WrongAnswer, match="is wrong"):
        next(rounds.turn(REST, replace(stage, served={"text": other}), 1))


@pytest.mark.skipif(not load.available(), reason=load.MISSING)
def test_make_serve_is_measured_beside_the_post_app() -> None:
    case = replace(BY_NAME[SHIPPED], loads=(Load("iris", 1, 1),))
    servers = (NAMED[case.base], REST)
    measured = rounds.measure((case,), lambda _case: servers, 1, 1, lambda _line: None)
    assert measured.failures == []
    assert [result.server for result in measured.results] == [server.name for server in servers]
    page = report(measured, "make bench", None)
    assert "| make serve, REST, 1 caller: req/s against the post's app with its model | ≥ 3x | " in page
