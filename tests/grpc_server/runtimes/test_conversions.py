"""Conversions: order of classes, rows of another width, and thresholds after rounding."""

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
from tests.support.models.accelerated_iris import X, Y, first_answers


@pytest.mark.parametrize("format_name", ["onnx", "trees"])
def test_conversion_keeps_the_order_of_classes(format_name: str) -> None:
    for classifier in (GradientBoostingClassifier(n_estimators=5), RandomForestClassifier(5)):
        classifier.fit(X, Y == "virginica")
        runtime = format_table.load(
            format_name, next(conversion_table.convert(format_name, classifier, COLUMNS, [("False", "True")]))
        )
        assert np.abs(first_answers(runtime, X) - classifier.predict_proba(X)).max() < 1e-6


def test_trees_never_read_beyond_a_row(forest: RandomForestClassifier) -> None:
    runtime = format_table.load("trees", next(conversion_table.convert("trees", forest, COLUMNS, [CLASSES])))
    with pytest.raises(ValueError, match="rows of 3 columns for a model of 4"):
        first_answers(runtime, X[:, :3])
    columnwise = np.asfortranarray(X)
    assert (first_answers(runtime, columnwise) == first_answers(runtime, X)).all()
    for damaged in (b"", b"not trees", b"\0" * 1000):
        with pytest.raises(ModelUnloadable, match="treelite: "):
            format_table.load("trees", damaged)


@given(st.floats(-1e30, 1e30), st.integers(-2, 2), st.booleans())
def test_float64_thresholds_decide_like_rounded_rows(threshold: float, steps: int, beside: bool) -> None:
    """At the threshold, its float32 neighbours, halfway between them, and one float64 step further."""
    (double,) = float64_thresholds(np.array([threshold]))
    near = np.float32(threshold)
    for _ in range(abs(steps)):
        near = np.nextafter(near, np.float32(np.copysign(np.inf, steps)))
    halfway = (float(near) + float(np.nextafter(near, np.float32(np.inf)))) / 2
    for value in (threshold, double, float(near), halfway):
        number = np.nextafter(value, np.inf) if beside else value
        assert (float(np.float32(number)) <= threshold) == (number <= double)
