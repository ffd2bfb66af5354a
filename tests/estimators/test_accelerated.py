"""Conversions behind contracts of every kind of answer: gRPC and REST give the estimator's own answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from threadpoolctl import threadpool_limits

from grpc_server.errors import ModelError
from grpc_server.store.repository import Repository
from tests.support.models.estimator_case import Case, add_case
from tests.support.models.estimators import CASES
from tests.support.servers.estimator_answers import assert_close
from tests.support.servers.many_models import BridgedServer, as_document, served

pytestmark = pytest.mark.slow

CONVERTED = {
    "logistic": "onnx",
    "forest": "onnx",
    "boosting": "trees",
    "several_numbers": "onnx",
    "several_labels": "onnx",
}
"""A label as an enum, a text and a bool; probabilities as a map, a list and a ranking; values; missing numbers; several targets."""

NOT_CONVERTED = {
    "svc": "no conversion gives decision.0, decision.1, decision.2: conversions give probabilities, labels and values",
    "isolation": "no conversion gives decision.0, score: conversions give",
    "clusters": "no conversion gives cluster, distance.0, ",
    "components": "no conversion gives component.0, component.1: conversions give",
    "gaussian": "no conversion gives std, lower, upper: conversions give",
    "mixed": "only models of numbers can be converted, and city is str, plan is ",
    "texts": "only models of numbers can be converted, and ",
}
"""Cases whose outputs or columns no conversion has, and the start of the refusal."""


def golden(case: Case) -> bytes:
    """Golden rows for the ranges of columns that the contract does not bound."""

    def numbers(document: dict[str, Any]) -> Iterator[float | None]:
        flat = dict(enumerate(document["measures"])) if "measures" in document else document
        for index, column in enumerate(case.columns):
            yield flat.get(index, flat.get(column))

    rows = [dict(zip(case.columns, numbers(document), strict=True)) for document in case.rows]
    return "\n".join(json.dumps({"features": row}) for row in rows).encode()


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {name: CASES[name]() for name in (*CONVERTED, *NOT_CONVERTED)}


@pytest.fixture(scope="module")
def server(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("accelerated")
    with threadpool_limits(1):
        for name, acceleration in CONVERTED.items():
            assert add_case(root, name, cases[name], golden(cases[name]), acceleration).format == acceleration
    with served(root / "protos", root / "models") as server:
        yield server


@pytest.mark.parametrize("name", CONVERTED)
def test_grpc_and_rest_give_the_estimators_answers(server: BridgedServer, cases: dict[str, Case], name: str) -> None:
    case, method = cases[name], server.methods[f"{name}.Predict"]
    messages = [json_format.ParseDict(row, method.request()) for row in case.rows]
    for number, (answer, expected) in enumerate(zip(server.grpc(method, messages), case.answers, strict=True)):
        assert not isinstance(answer, Exception), answer
        assert_close(as_document(answer), expected, f"gRPC row {number}", within=1e-6)
    (response,) = server.rest(server.methods[f"{name}.PredictBatch"], [{"rows": case.rows}])
    assert response.status_code == 200, response.text
    assert_close(response.json()["rows"], case.answers, "REST", within=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NOT_CONVERTED)
def test_model_without_conversion_stays_as_it_is(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    added = add_case(tmp_path, name, cases[name], acceleration="auto")
    assert added.format in ("joblib", "skops")
    assert added.acceleration.startswith(f"not accelerated: {NOT_CONVERTED[name]}")
    with pytest.raises(ModelError) as refused:
        add_case(tmp_path, name, cases[name], acceleration="onnx")
    assert str(refused.value).startswith(NOT_CONVERTED[name])
    assert Repository(tmp_path / "models").versions(name) == ["1"]
