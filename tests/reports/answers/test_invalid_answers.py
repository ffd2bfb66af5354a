"""Answers of a model that are not finite, or break a rule of the response: a refusal of their own, and no harm to neighbours.

What other servers do: pytorch/serve#1304 (`NaN` in the JSON), openvinotoolkit/model_server#4337 (values left out of a list),
TOMToolkit/tom_base#978 (500).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import PreconditionFailure
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from tests.support.models.estimator_case import NUMBER, Case, add_case
from tests.support.servers.grpc_in_process import info, status_of
from tests.support.servers.many_models import BridgedServer, served

FEATURES = f"message Features {{ {NUMBER('x', 1)} }}\n"
X = np.arange(8.0).reshape(-1, 1)


def line(*slopes: float) -> LinearRegression:
    """A model that multiplies its only column by each slope."""
    model = LinearRegression(fit_intercept=False).fit(X, X * slopes)
    model.coef_ = np.array(slopes).reshape(-1, 1)  # Fitted ones differ in the last digit.
    return model


def through(function: Any) -> TransformedTargetRegressor:
    """A model that applies `function` to the column."""
    return TransformedTargetRegressor(LinearRegression(), func=abs, inverse_func=function, check_inverse=False).fit(X, X)


def root(values: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return np.sqrt(values)


def power(values: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.exp(values)


@dataclass
class Kind:
    """A model whose answer is valid for x = 0.5 and invalid for x = `bad`."""

    estimator: Any
    response: str
    bad: float
    field: str
    rule: str
    text: str
    targets: tuple[str, ...] = ()

    def case(self) -> Case:
        return Case(self.estimator, FEATURES + self.response, [], [], ("x",), self.targets)


KINDS = {
    "nan": Kind(through(root), "message Response { double value = 1; }", -1, "value", "double.finite", "nan"),
    "infinity": Kind(through(power), "message Response { double value = 1; }", 1000, "value", "double.finite", "inf"),
    "nan_beside_a_bound": Kind(
        through(root),
        "message Response { double value = 1 [(buf.validate.field).double.gte = 0]; }",
        -1,
        "value",
        "double.gte",
        "must be greater than or equal to 0; the model gave nan",
    ),
    "below_a_bound": Kind(
        line(1.0),
        "message Response { double value = 1 [(buf.validate.field).double = {gte: 0, lte: 100}]; }",
        -2,
        "value",
        "double.gte_lte",
        "must be greater than or equal to 0 and less than or equal to 100; the model gave -2.0",
    ),
    "float_overflow": Kind(line(1e38), "message Response { float value = 1; }", 10, "value", "float.finite", "inf"),
    "float_rounded_to_its_bound": Kind(
        line(1.0),
        "message Response { float value = 1 [(buf.validate.field).float.lt = 1]; }",
        1 - 1e-12,
        "value",
        "float.lt",
        "must be less than 1; the model gave 1.0",
    ),
    "item_of_a_list": Kind(
        line(1.0, -1.0),
        "message Response { repeated double values = 1 [(buf.validate.field).repeated.items.double.gte = -1]; }",
        3,
        "values[1]",
        "double.gte",
        "must be greater than or equal to -1; the model gave -3.0",
        ("up", "down"),
    ),
    "entry_of_a_map": Kind(
        line(1.0, -1.0),
        "message Response { map<string, double> values = 1 [(buf.validate.field).map.values.double.gte = -1]; }",
        3,
        'values["down"]',
        "double.gte",
        "must be greater than or equal to -1; the model gave -3.0",
        ("up", "down"),
    ),
    "field_of_a_message": Kind(
        line(1.0, -1.0),
        "message Response { Ends ends = 1; } "
        "message Ends { double up = 1; double down = 2 [(buf.validate.field).double.gte = -1]; }",
        3,
        "ends.down",
        "double.gte",
        "must be greater than or equal to -1; the model gave -3.0",
        ("up", "down"),
    ),
    "rule_in_cel": Kind(
        line(1.0, 0.5),
        """message Response { double low = 1; double high = 2; option (buf.validate.message).cel = {
          id: "in_order", message: "low must not exceed high", expression: "this.low <= 1.0 || this.low <= this.high" }; }""",
        4,
        "",
        "in_order",
        "low must not exceed high",
        ("low", "high"),
    ),
    "text_label": Kind(
        DecisionTreeClassifier().fit(X, np.where(X[:, 0] < 4, "a", "long")),
        "message Response { string label = 1 [(buf.validate.field).string.max_len = 2]; }",
        7,
        "label",
        "string.max_len",
        "must be at most 2 characters; the model gave long",
    ),
    "integer_label": Kind(
        DecisionTreeClassifier().fit(X, np.where(X[:, 0] < 4, 1, 7)),
        "message Response { int32 label = 1 [(buf.validate.field).int32.lte = 5]; }",
        7,
        "label",
        "int32.lte",
        "must be less than or equal to 5; the model gave 7",
    ),
    "value_of_a_set": Kind(
        through(np.floor),
        "message Response { double value = 1 [(buf.validate.field).double.in = 0]; }",
        2.5,
        "value",
        "double.in",
        "the model gave 2.0",
    ),
}


IN_PROCESSES = ("nan", "text_label", "value_of_a_set")
"""Kinds that are also served from processes, two of which each takes; what is invalid is the same there."""

PLACED = [
    *(pytest.param("inline", name, id=name) for name in KINDS),
    *(pytest.param("process", name, id=f"process-{name}", marks=pytest.mark.slow) for name in IN_PROCESSES),
]
each_kind = pytest.mark.parametrize(("server", "name"), PLACED, indirect=["server"], scope="module")


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    """One server of all kinds that are placed so."""
    root = tmp_path_factory.mktemp("invalid")
    for name in KINDS if request.param == "inline" else IN_PROCESSES:
        add_case(root, name, KINDS[name].case())
    with served(root / "protos", root / "models", placement=request.param, workers=1) as server:
        yield server


def broken(error: grpc.RpcError) -> list[tuple[str, str, str]]:
    """Field, rule and text of each violation of an invalid answer."""
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert info(error).reason == "INVALID_ANSWER"
    detail = PreconditionFailure()
    assert any(packed.Unpack(detail) for packed in status_of(error).details)
    return [(each.subject, each.type, each.description) for each in detail.violations]


@each_kind
def test_invalid_answer_names_its_field(server: BridgedServer, name: str) -> None:
    kind, method = KINDS[name], server.methods[f"{name}.Predict"]
    good, error = server.grpc(method, [method.request(x=0.5), method.request(x=kind.bad)])
    assert isinstance(good, method.response)
    ((field, rule, text),) = broken(error)
    assert (field, rule) == (kind.field, kind.rule)
    assert kind.text in text
    assert error.details() == f"the model's answer is invalid: {field}: {text}".replace(": :", ":")
    ok, refused = server.rest(method, [{"x": 0.5}, {"x": kind.bad}])
    assert (ok.status_code, refused.status_code) == (200, 422)
    (problem,) = refused.json()["detail"]
    assert (problem["loc"][0], problem["type"], problem["msg"]) == ("response", rule, text)


@each_kind
def test_invalid_row_of_a_batch_has_its_index(server: BridgedServer, name: str) -> None:
    kind, method = KINDS[name], server.methods[f"{name}.PredictBatch"]
    (error,) = server.grpc(method, [method.request(rows=[{"x": 0.5}] * 60 + [{"x": kind.bad}])])
    ((field, rule, _),) = broken(error)
    assert (field, rule) == (f"rows[60].{kind.field}".removesuffix("."), kind.rule)
    (refused,) = server.rest(method, [{"rows": [{"x": kind.bad}, {"x": 0.5}]}])
    assert refused.json()["detail"][0]["loc"][:3] == ["response", "rows", 0]


@each_kind
def test_neighbours_of_an_invalid_answer_are_answered(server: BridgedServer, name: str) -> None:
    kind, method = KINDS[name], server.methods[f"{name}.Predict"]
    values = [kind.bad if place in (7, 30) else 0.5 for place in range(40)]
    answers = server.grpc(method, [method.request(x=x) for x in values])
    assert [place for place, answer in enumerate(answers) if isinstance(answer, Exception)] == [7, 30]
    responses = server.rest(method, [{"x": x} for x in values])
    assert [place for place, response in enumerate(responses) if response.status_code != 200] == [7, 30]
