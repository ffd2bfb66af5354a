"""Each method gives the estimator's own answers over gRPC and REST, and both refuse a row with the same violations."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.preprocessing import minmax_scale

from tests.support.effort import tries
from tests.support.iris import CLASSES, COLUMNS
from tests.support.servers.clients import Clients, Row

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def estimator(trained: Path) -> Any:
    return joblib.load(trained / "model.joblib")


def named(matrix: Any) -> list[Row]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in matrix.tolist()]


METHODS: dict[str, Callable[[Clients, list[Row]], list[list[float]]]] = {
    "grpc": Clients.grpc_rows,
    "rest": Clients.rest_rows,
    "stream": Clients.grpc_stream,
    "grpc-batch": Clients.grpc_batch,
    "rest-batch": Clients.rest_batch,
}


def rows_of(kind: str) -> Any:
    """150 rows: the data, the data with its columns in another order, the data with one measurement of each row changed."""
    data = minmax_scale(load_iris().data)
    if kind == "permuted":
        return data[:, [2, 0, 3, 1]]
    if kind == "changed":
        changed = data.copy()
        changed[np.arange(150), np.arange(150) % 4] = np.random.default_rng(0).random(150)
        return changed
    return data


@pytest.mark.parametrize("kind", ["data", "permuted", "changed"])
@pytest.mark.parametrize("method", METHODS)
def test_each_method_gives_the_estimators_answer(clients: Clients, estimator: Any, method: str, kind: str) -> None:
    rows = rows_of(kind)
    expected = estimator.predict_proba(rows)
    assert tuple(estimator.classes_) == CLASSES
    answers = np.array(METHODS[method](clients, named(rows)))
    assert answers.shape == (150, 3)
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=0, atol=1e-9)


def test_each_measurement_matters(clients: Clients) -> None:
    """An earlier service for this model read one measurement twice and another never."""
    middle: Row = dict.fromkeys(COLUMNS, 0.5)
    answers = clients.rest_rows([middle, *(middle | {column: 0.9} for column in COLUMNS)])
    assert len({tuple(answer) for answer in answers}) == 5


near_the_bounds = st.sampled_from([0.0, -0.0, 1.0, 0.5, 5e-324, -5e-324, math.nextafter(1, 2), math.nextafter(1, 0), 1e308, -1e308])
value = st.one_of(st.none(), near_the_bounds, st.floats(-2, 2), st.floats(allow_nan=False, allow_infinity=False))
rows = st.fixed_dictionaries({}, optional=dict.fromkeys(COLUMNS, value))


@settings(deadline=None, max_examples=tries(60, 4000), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=rows)
def test_grpc_and_rest_report_the_same_violations(clients: Clients, row: Row) -> None:
    assert clients.grpc_result(row) == clients.rest_result(row)


def test_refusal_names_field_rule_and_input(clients: Clients) -> None:
    row = {"sepal_length": 0.2, "sepal_width": 0.5, "petal_length": 0.8, "petal_width": 1.1}
    response = clients.http.post("/predict/", json=row)
    assert response.status_code == 422
    assert response.json() == {
        "detail": [
            {
                "type": "double.gte_lte",
                "loc": ["body", "petal_width"],
                "msg": "must be greater than or equal to 0 and less than or equal to 1",
                "input": 1.1,
                "ctx": {"gte": 0.0, "lte": 1.0},
            }
        ]
    }


def test_contract_example_is_the_models_answer(clients: Clients) -> None:
    """The example in the contract is rounded to two digits."""
    schemas = clients.http.get("/openapi.json").json()["components"]["schemas"]
    (shown,) = schemas["iris.v1.Features"]["examples"]
    (answer,) = schemas["iris.v1.Response"]["examples"]
    assert [round(number, 2) for number in clients.rest_rows([shown])[0]] == list(answer.values())
