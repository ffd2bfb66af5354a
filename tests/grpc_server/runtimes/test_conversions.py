"""What a conversion holds: the classes in their order, trees that read their rows only, thresholds that decide as before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from grpc_server.errors import ModelUnloadable
from grpc_server.runtimes.conversions import conversion_table
from grpc_server.runtimes.conversions.trees_conversion import float64_thresholds
from grpc_server.runtimes.formats import format_table
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models.accelerated_iris import X, Y, said


@pytest.mark.parametrize("format_name", ["onnx", "trees"])
def test_two_classes_are_converted_in_their_order(format_name: str) -> None:
    for classifier in (GradientBoostingClassifier(n_estimators=5), RandomForestClassifier(5)):
        classifier.fit(X, Y == "virginica")
        runtime = format_table.load(
            format_name, next(conversion_table.convert(format_name, classifier, COLUMNS, [("False", "True")]))
        )
        assert np.abs(said(runtime, X) - classifier.predict_proba(X)).max() < 1e-6


def test_trees_never_read_beyond_a_row(forest: RandomForestClassifier) -> None:
    runtime = format_table.load("trees", next(conversion_table.convert("trees", forest, COLUMNS, [CLASSES])))
    with pytest.raises(ValueError, match="rows of 3 columns for a model of 4"):
        said(runtime, X[:, :3])
    columnwise = np.asfortranarray(X)
    assert (said(runtime, columnwise) == said(runtime, X)).all()
    for damaged in (b"", b"not trees", b"\0" * 1000):
        with pytest.raises(ModelUnloadable, match="treelite: "):
            format_table.load("trees", damaged)


@given(st.floats(-1e30, 1e30), st.integers(-2, 2), st.booleans())
def test_thresholds_float64_thresholds_decide_as_those_after_rounding(threshold: float, steps: int, beside: bool) -> None:
    """At the threshold, at its float32 neighbours, halfway between them, and one step of a float64 aside."""
    (double,) = float64_thresholds(np.array([threshold]))
    near = np.float32(threshold)
    for _ in range(abs(steps)):
        near = np.nextafter(near, np.float32(np.copysign(np.inf, steps)))
    halfway = (float(near) + float(np.nextafter(near, np.float32(np.inf)))) / 2
    for value in (threshold, double, float(near), halfway):
        number = np.nextafter(value, np.inf) if beside else value
        assert (float(np.float32(number)) <= threshold) == (number <= double)
