"""A zero or false that a model answers is in the JSON of every protobuf library, not only over REST."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from google.protobuf import json_format
from sklearn.cluster import KMeans
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.support.servers.drafted_models import draft, serving_drafts
from tests.support.servers.many_models import BridgedServer

# As in the server.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:X does not have valid feature names")]

FRAME = pd.DataFrame({"a": [0.0, 1.0] * 30, "b": [0.5] * 60})
ROW = {"a": 0.0, "b": 0.5}

CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    # fullstorydev/grpcurl#97, protocolbuffers/protobuf#4400, cloudendpoints/esp#815.
    "number": (DecisionTreeRegressor(), FRAME.a * 5, {"value": 0}),
    "probability": (DecisionTreeClassifier(), np.where(FRAME.a == 0, "cat", "dog"), {"dog_probability": 0}),
    "digit": (DecisionTreeClassifier(), FRAME.a.astype(int), {"y": 0, "class_1_probability": 0}),
    "yes": (DecisionTreeClassifier(), np.where(FRAME.a == 0, "no", "yes"), {"y": False, "yes_probability": 0}),
    "cluster": (KMeans(1, n_init=1), None, {"cluster": 0}),
}
"""An estimator, what it is trained for, and the zeros in its answer to ROW."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedServer]:
    root = tmp_path_factory.mktemp("zeros")
    for name, (estimator, target, _) in CASES.items():
        estimator.fit(FRAME, target)
        (FRAME if target is None else FRAME.assign(y=target)).to_csv(root / f"{name}.csv", index=False)
        options = ["--target", "y"] if target is not None else []
        draft(root, name, estimator, "--data", root / f"{name}.csv", *options)
    with serving_drafts(root) as server:
        yield server


@pytest.mark.parametrize("name", CASES)
def test_zero_is_in_the_json_of_protobuf(server: BridgedServer, name: str) -> None:
    method, zeros = server.methods[f"{name}.Predict"], CASES[name][2]
    (answer,) = server.grpc(method, [method.request(**ROW)])
    document = json_format.MessageToDict(answer, preserving_proto_field_name=True)
    assert {field: document.get(field) for field in zeros} == zeros
    (response,) = server.rest(method, [ROW])
    assert {field: response.json().get(field) for field in zeros} == zeros


@pytest.mark.parametrize("name", CASES)
def test_openapi_says_that_the_number_is_always_there(server: BridgedServer, name: str) -> None:
    schemas = server.openapi()["components"]["schemas"]
    assert set(CASES[name][2]) <= set(schemas[f"{name}.v1.Response"]["required"])
