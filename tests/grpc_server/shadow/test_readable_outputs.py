"""The outputs of models as labels and numbers."""

from datetime import UTC, datetime

import numpy as np

from grpc_server.rows.mixed_rows import Dtype, rows_from_columns
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import Target
from grpc_server.shadow.readable_outputs import ReadableOutputs, values
from tests.support.iris import CLASSES

IRIS = (Target("", CLASSES),)
PROBABILITIES = [Output("probability", item) for item in range(3)]


def test_most_probable_class_is_the_label() -> None:
    outputs = ReadableOutputs(PROBABILITIES, IRIS)
    assert outputs.names == ["label", "probability.setosa", "probability.versicolor", "probability.virginica"]
    assert outputs.rows(([0.2, 0.5, 0.3],), ["label", "probability.virginica"]) == [["versicolor", 0.3]]
    assert outputs.rows(np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]), ["label"]) == [["versicolor"], ["setosa"]]


def test_label_output_is_the_label() -> None:
    outputs = ReadableOutputs([*PROBABILITIES, Output("label")], IRIS)
    assert outputs.rows(([0.2, 0.5, 0.3, 2.0],), ["label"]) == [["virginica"]]


def test_other_outputs_are_numbers() -> None:
    outputs = ReadableOutputs([Output("value"), Output("cluster"), Output("distance", 3)], [Target("", ())])
    assert outputs.names == ["cluster", "value", "distance.3"]
    assert outputs.rows(([1.5, 4.0, 0.25],), outputs.names) == [["4", 1.5, 0.25]]


def test_each_target_has_a_label() -> None:
    targets = [Target("kind", ("a", "b", "c")), Target("late", ("no", "yes"))]
    outputs = ReadableOutputs([Output("probability", 0), Output("probability", 2), Output("probability", 1, 1)], targets)
    assert outputs.names[:2] == ["label.kind", "label.late"]
    assert outputs.rows(([0.1, 0.2, 0.5], [0.3, 0.2, 0.49]), outputs.names[:2]) == [["c", "yes"], ["a", "no"]]


def test_features_become_json_values() -> None:
    moment = datetime(2026, 1, 2, 3, tzinfo=UTC)
    dtypes = [Dtype("float64"), Dtype("object"), Dtype("datetime64[us]"), Dtype("timedelta64[s]"), Dtype("bool")]
    raw = [[1.5, None], ["a", None], [int(moment.timestamp() * 1e6), None], [90, None], [True, False]]
    first, second = values(rows_from_columns(raw, dtypes))
    assert first == [1.5, "a", "2026-01-02T03:00:00.000000", 90.0, True]
    assert (second[2], second[3]) == (None, None)
    assert values(([1.0, 2.0],)) == values(np.array([[1.0, 2.0]])) == [[1.0, 2.0]]
