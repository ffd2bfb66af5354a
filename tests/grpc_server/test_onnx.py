"""`.onnx` files as a model format of their own: what is taken, what is refused, and that nothing of scikit-learn serves them."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skl2onnx
from onnx import TensorProto, helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from grpc_server import runtimes
from grpc_server.adding import add_model
from grpc_server.errors import ModelError, ModelMismatch, ModelUnloadable
from grpc_server.repository import Repository

X = np.random.default_rng(0).random((60, 2))
Y = np.where(X[:, 0] > X[:, 1], "yes", "no")
CLASSIFIER = LogisticRegression().fit(X, Y)


def converted(classifier: Any = CLASSIFIER, number: Any = FloatTensorType, *, zipmap: bool = False, **facts: Any) -> bytes:
    """A classifier as skl2onnx writes it, with custom metadata `foretell.<fact>`."""
    options = {"zipmap": zipmap}
    graph = skl2onnx.convert_sklearn(classifier, initial_types=[("X", number([None, 2]))], options=options)
    helper.set_model_props(graph, {f"foretell.{name}": value for name, value in facts.items()})
    return bytes(graph.SerializeToString())


def graph(*nodes: Any, rows: tuple[Any, ...] = (None, 2), outputs: tuple[tuple[str, Any], ...] = (("out", (None, 2)),)) -> bytes:
    """A graph of `nodes` from the float tensor `rows` to float tensors."""
    inputs = [helper.make_tensor_value_info("rows", TensorProto.FLOAT, rows)]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
    made = helper.make_graph(list(nodes), "test", inputs, results)
    return bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString())


def added(tmp_path: Path, artifact: bytes, **named: Any) -> Repository:
    file = tmp_path / "model.onnx"
    file.write_bytes(artifact)
    repository = Repository(tmp_path / "models")
    add_model(repository, file, "yes", **named)
    return repository


@pytest.mark.parametrize(("number", "zipmap"), [(FloatTensorType, False), (DoubleTensorType, False), (FloatTensorType, True)])
def test_it_answers_as_scikit_learn_does(number: Any, zipmap: bool) -> None:
    runtime = runtimes.load("onnx", converted(number=number, zipmap=zipmap))
    assert runtime.width == 2
    assert runtime.predict(X).dtype == np.float64
    assert np.abs(runtime.predict(X) - CLASSIFIER.predict_proba(X)).max() < 1e-6


def test_names_come_from_the_metadata(tmp_path: Path) -> None:
    artifact = converted(columns=json.dumps(["a", "b"]), classes=json.dumps(["no", "yes"]))
    manifest = added(tmp_path, artifact).read("yes", "1").manifest
    assert (manifest.format, manifest.artifact, manifest.original) == ("onnx", "model.onnx", None)
    assert (manifest.columns, manifest.classes) == (("a", "b"), ("no", "yes"))
    assert set(manifest.libraries) == {"numpy", "onnxruntime"}


def test_names_that_the_file_lacks_are_given(tmp_path: Path) -> None:
    manifest = added(tmp_path, converted(), columns=("a", "b"), classes=("no", "yes")).read("yes", "1").manifest
    assert (manifest.columns, manifest.classes) == (("a", "b"), ("no", "yes"))


def test_a_zipmap_names_the_classes(tmp_path: Path) -> None:
    assert added(tmp_path, converted(zipmap=True), columns=("a", "b")).read("yes", "1").manifest.classes == ("no", "yes")


def test_whole_numbers_are_class_names_too() -> None:
    numbered = LogisticRegression().fit(X, (X[:, 0] * 3).astype(int))
    assert runtimes.load("onnx", converted(numbered, zipmap=True)).classes == ("0", "1", "2")


def test_rounding_makes_no_probability_above_one_or_below_zero() -> None:
    over = helper.make_node("Constant", [], ["over"], value_floats=[1.0000001, -1e-7])
    shape = helper.make_node("Shape", ["rows"], ["shape"])
    runtime = runtimes.load("onnx", graph(over, shape, helper.make_node("Expand", ["over", "shape"], ["out"])))
    assert runtime.predict(X[:2]).tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_a_session_starts_no_thread() -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    runtimes.load("onnx", converted()).predict(X)
    assert len(list(Path("/proc/self/task").iterdir())) == before >= threading.active_count()


SOFTMAX = helper.make_node("Softmax", ["rows"], ["out"])
TWICE = helper.make_node("Add", ["rows", "rows"], ["other"])


@pytest.mark.parametrize(
    ("artifact", "says"),
    [
        pytest.param(b"not onnx", "the onnx artifact does not load: .*INVALID_PROTOBUF", id="no-onnx"),
        pytest.param(converted()[:-40], "the onnx artifact does not load: ", id="cut"),
        pytest.param(
            graph(SOFTMAX, rows=(1, 2), outputs=(("out", (1, 2)),)),
            r"the onnx input rows is tensor\(float\) of \[1, 2\]: export it as float of \[rows, columns\]",
            id="one-row-only",
        ),
        pytest.param(graph(SOFTMAX, rows=(None, "width")), r"the onnx input rows is .* of \[None, 'width'\]", id="any-width"),
        pytest.param(graph(SOFTMAX, rows=(None, 2, 2), outputs=(("out", (None, 2, 2)),)), "the onnx input rows is", id="cube"),
        pytest.param(
            graph(SOFTMAX, TWICE, outputs=(("out", (None, 2)), ("other", (None, 2)))),
            r"2 onnx outputs can be probabilities, among out: tensor\(float\), other: tensor\(float\): export one",
            id="two-outputs",
        ),
        pytest.param(
            graph(helper.make_node("ReduceSum", ["rows"], ["out"], keepdims=0), outputs=(("out", ()),)), "0 onnx outputs", id="none"
        ),
        pytest.param(
            graph(helper.make_node("Identity", ["rows"], ["out"])), "the onnx output out adds up to 0, not to 1", id="scores"
        ),
        pytest.param(
            converted(columns="a,b"), "the onnx metadata entry foretell.columns is no JSON list of names: 'a,b'", id="facts"
        ),
        pytest.param(converted(classes='["yes"]'), "output probabilities has 2 classes, foretell.classes names 1", id="classes"),
        pytest.param(converted(classes="[1, 2]"), "foretell.classes is no JSON list of names", id="numbers-as-names"),
    ],
)
def test_what_is_no_classifier_of_rows_is_refused(artifact: bytes, says: str) -> None:
    with pytest.raises(ModelUnloadable, match=says):
        runtimes.load("onnx", artifact)


def test_one_input_a_column_is_refused() -> None:
    inputs = [("a", FloatTensorType([None, 1])), ("b", FloatTensorType([None, 1]))]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    artifact = skl2onnx.convert_sklearn(pipeline, initial_types=inputs, options={"zipmap": False}).SerializeToString()
    with pytest.raises(ModelUnloadable, match=r"takes 2 inputs \(a, b\): export it with one, of shape \[rows, columns\]"):
        runtimes.load("onnx", artifact)


@pytest.mark.parametrize(
    ("artifact", "named", "error", "says"),
    [
        (converted(), {}, ModelError, r"^model.onnx does not name its 2 columns: pass --columns a,b,c$"),
        (converted(), {"columns": ("a", "b")}, ModelError, r"^model.onnx does not name its classes: pass --classes x,y,z$"),
        (converted(), {"columns": ("a", "b"), "classes": ("yes",)}, ModelError, "model.onnx knows one class only, 'yes'"),
        (converted(), {"columns": ("a",), "classes": ("no", "yes")}, ModelMismatch, "has 2 columns, its manifest names 1"),
        (
            converted(),
            {"columns": ("a", "b"), "classes": ("no", "yes", "maybe")},
            ModelMismatch,
            "model.onnx gives 2 probabilities a row, its manifest names 3 classes",
        ),
        (
            converted(columns='["a", "b"]', classes='["no", "yes"]'),
            {"columns": ("b", "a")},
            ModelMismatch,
            "was trained on a, b, its manifest says b, a",
        ),
        (
            converted(zipmap=True),
            {"columns": ("a", "b"), "classes": ("yes", "no")},
            ModelMismatch,
            "tells no, yes apart, its manifest",
        ),
        (converted(), {"columns": ("a", "b"), "classes": ("no", "no")}, ModelError, "the name 'no' occurs twice"),
    ],
)
def test_names_that_are_missing_or_wrong_are_refused(
    tmp_path: Path, artifact: bytes, named: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        added(tmp_path, artifact, **named)
