"""Numbers that a contract without rules allows and a model fails on, NaN and infinity: refused by their field, never INTERNAL."""

import math
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from grpc_server.rows.mixed_rows import Dtype
from tests.support.models.estimator_case import Case, add_case
from tests.support.servers.grpc_in_process import violations
from tests.support.servers.many_models import BridgedServer, served

X = np.random.default_rng(0).normal(size=(40, 2))
Y = X.sum(axis=1)
RESPONSE = "message Response { double value = 1; }"

KINDS = {
    "plain": "message Features { double a = 1; double b = 2; }",
    "narrow": "message Features { float a = 1; double b = 2; }",
    "required": "message Features { optional double a = 1 [(buf.validate.field).required = true]; double b = 2; }",
    "wrapped": "message Features { google.protobuf.DoubleValue a = 1 [(buf.validate.field).required = true]; double b = 2; }",
    "nested": """message Pair { double a = 1; double b = 2; }
        message Features { Pair pair = 1 [(buf.validate.field).required = true, (foretell.v1.column) = "{}"]; }""",
    "listed": "message Features { repeated double m = 1 [(buf.validate.field).repeated = {min_items: 2, max_items: 2}]; }",
    "mapped": """message Features { map<string, double> m = 1
        [(buf.validate.field).map = {min_pairs: 2, keys: {string: {in: ["a", "b"]}}}]; }""",
    "mixed": "message Features { double a = 1; int32 b = 2; }",
}
"""Ways to declare two numbers of which none may be missing; the first one gets the odd value."""

PATHS = {"nested": "pair.a", "listed": "m[0]", "mapped": 'm["a"]'}
COLUMNS = {"listed": ("m[0]", "m[1]"), "mapped": ("m[a]", "m[b]")}


def case(name: str) -> Case:
    columns = COLUMNS.get(name, ("a", "b"))
    dtypes = {"a": Dtype("float64"), "b": Dtype("int64")} if name == "mixed" else {}
    rows = pd.DataFrame(X, columns=["a", "b"]).astype({"b": int}) if name == "mixed" else X
    return Case(LinearRegression().fit(rows, Y), KINDS[name] + RESPONSE, [], [], columns, dtypes=dtypes)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("odd")
    for name in KINDS:
        add_case(root, name, case(name))
    copes = "message Features { optional double a = 1; double b = 2; }" + RESPONSE
    add_case(root, "copes", Case(HistGradientBoostingRegressor().fit(X, Y), copes, [], [], ("a", "b")))
    with served(root / "protos", root / "models") as server:
        yield server


def message(method: Any, name: str, a: float) -> Any:
    if name == "listed":
        return method.request(m=[a, 1.0])
    if name == "mapped":
        return method.request(m={"a": a, "b": 1.0})
    if name == "nested":
        return method.request(pair={"a": a, "b": 1.0})
    return method.request(a={"value": a} if name == "wrapped" else a, b=1)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "must be a number, not NaN"),
        (math.inf, "must be within what the model can answer"),
        (-math.inf, "must be within what the model can answer"),
    ],
)
def test_number_on_which_the_model_fails_is_refused_by_its_field(server: BridgedServer, name: str, value: float, text: str) -> None:
    method = server.methods[f"{name}.Predict"]
    good, error = server.grpc(method, [message(method, name, 0.5), message(method, name, value)])
    assert isinstance(good, method.response)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(error) == [(PATHS.get(name, "a"), "model_range", text)]


def test_row_of_a_batch_has_its_index(server: BridgedServer) -> None:
    method = server.methods["plain.PredictBatch"]
    (error,) = server.grpc(method, [method.request(rows=[{"a": 1}, {"a": 1, "b": math.nan}, {"b": math.inf}])])
    assert [field for field, _, _ in violations(error)] == ["rows[1].b", "rows[2].b"]


def test_model_that_copes_with_nan_answers_it(server: BridgedServer) -> None:
    method = server.methods["copes.Predict"]
    explicit, missing = server.grpc(method, [method.request(a=math.nan, b=1), method.request(b=1)])
    assert explicit == missing
