"""`.onnx` files: their answers beside scikit-learn's, the names in their metadata, and the graphs that are refused."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skl2onnx
from onnx import TensorProto, helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelError, ModelMismatch, ModelUnloadable
from grpc_server.rows.mixed_rows import FLOAT64
from grpc_server.rows.outputs import Output, all_outputs, output_function
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.repository import Repository

X = np.random.default_rng(0).random((60, 2))
Y = np.where(X[:, 0] > X[:, 1], "yes", "no")
CLASSIFIER = LogisticRegression().fit(X, Y)


def converted(classifier: Any = CLASSIFIER, number: Any = FloatTensorType, *, zipmap: bool = False, **facts: Any) -> bytes:
    """A classifier as skl2onnx writes it, with custom metadata `foretell.<fact>`."""
    options = {"zipmap": zipmap}
    graph = skl2onnx.convert_sklearn(classifier, initial_types=[("X", number([None, 2]))], options=options)
    helper.set_model_props(graph, {f"foretell.{name}": value for name, value in facts.items()})
    return bytes(graph.SerializeToString())


def graph(
    *nodes: Any, rows: tuple[Any, ...] = (None, 2), outputs: tuple[tuple[str, Any], ...] = (("out", (None, 2)),), **facts: str
) -> bytes:
    """A graph of `nodes` from the float tensor `rows` to float tensors."""
    inputs = [helper.make_tensor_value_info("rows", TensorProto.FLOAT, rows)]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
    made = helper.make_graph(list(nodes), "test", inputs, results)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {f"foretell.{name}": value for name, value in facts.items()})
    return bytes(model.SerializeToString())


def first_answers(runtime: Runtime, rows: Any = X) -> Any:
    """The answers of its first source: the probabilities of a classifier, the values of a regressor."""
    return runtime.sources([FLOAT64] * runtime.width, rows[:1], [("no", "yes")])[0].run(rows)


def added(tmp_path: Path, artifact: bytes, **named: Any) -> Repository:
    file = tmp_path / "model.onnx"
    file.write_bytes(artifact)
    repository = Repository(tmp_path / "models")
    add_model(repository, file, "yes", **named)
    return repository


@pytest.mark.parametrize(("number", "zipmap"), [(FloatTensorType, False), (DoubleTensorType, False), (FloatTensorType, True)])
def test_classifier_answers_like_scikit_learn(number: Any, zipmap: bool) -> None:
    runtime = format_table.load("onnx", converted(number=number, zipmap=zipmap))
    assert runtime.width == 2
    assert first_answers(runtime).dtype == np.float64
    assert np.abs(first_answers(runtime) - CLASSIFIER.predict_proba(X)).max() < 1e-6


def test_names_come_from_the_metadata(tmp_path: Path) -> None:
    artifact = converted(columns=json.dumps(["a", "b"]), classes=json.dumps(["no", "yes"]))
    manifest = added(tmp_path, artifact).read("yes", "1").manifest
    assert (manifest.format, manifest.artifact, manifest.original) == ("onnx", "model.onnx", None)
    assert (manifest.columns, manifest.classes) == (("a", "b"), ("no", "yes"))
    assert set(manifest.libraries) == {"numpy", "onnxruntime"}


def test_names_missing_in_the_file_are_given(tmp_path: Path) -> None:
    manifest = added(tmp_path, converted(), columns=("a", "b"), classes=("no", "yes")).read("yes", "1").manifest
    assert (manifest.columns, manifest.classes) == (("a", "b"), ("no", "yes"))


def test_zipmap_names_the_classes(tmp_path: Path) -> None:
    assert added(tmp_path, converted(zipmap=True), columns=("a", "b")).read("yes", "1").manifest.classes == ("no", "yes")


def test_integers_can_be_class_names() -> None:
    numbered = LogisticRegression().fit(X, (X[:, 0] * 3).astype(int))
    assert format_table.load("onnx", converted(numbered, zipmap=True)).classes == ("0", "1", "2")


def test_rounded_probabilities_stay_within_bounds() -> None:
    over = helper.make_node("Constant", [], ["over"], value_floats=[1.0000001, -1e-7])
    shape = helper.make_node("Shape", ["rows"], ["shape"])
    runtime = format_table.load("onnx", graph(over, shape, helper.make_node("Expand", ["over", "shape"], ["out"])))
    assert first_answers(runtime, X[:2]).tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_session_starts_no_thread() -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    first_answers(format_table.load("onnx", converted()))
    assert len(list(Path("/proc/self/task").iterdir())) == before >= threading.active_count()


SOFTMAX = helper.make_node("Softmax", ["rows"], ["out"])
TWICE = helper.make_node("Add", ["rows", "rows"], ["other"])


@pytest.mark.parametrize(
    ("artifact", "message"),
    [
        pytest.param(b"not onnx", "the onnx artifact does not load: .*INVALID_PROTOBUF.*: export it again$", id="no-onnx"),
        pytest.param(converted()[:-40], "the onnx artifact does not load: ", id="cut"),
        pytest.param(
            graph(SOFTMAX, rows=(1, 2), outputs=(("out", (1, 2)),)),
            r"^the onnx input rows is tensor\(float\) of \[1, 2\]: export it as float of \[rows, columns\]$",
            id="one-row-only",
        ),
        pytest.param(graph(SOFTMAX, rows=(None, "width")), r"the onnx input rows is .* of \[None, 'width'\]", id="any-width"),
        pytest.param(graph(SOFTMAX, rows=(None, 2, 2), outputs=(("out", (None, 2, 2)),)), "the onnx input rows is", id="cube"),
        pytest.param(
            graph(SOFTMAX, TWICE, outputs=(("out", (None, 2)), ("other", (None, 2)))),
            r"2 onnx outputs are numbers, among out: tensor\(float\), other: tensor\(float\): export one$",
            id="two-outputs",
        ),
        pytest.param(
            graph(helper.make_node("ReduceSum", ["rows"], ["out"], keepdims=0), outputs=(("out", ()),)),
            r"no onnx output is numbers or labels, among out: tensor\(float\): export one, of \[rows, numbers\]$",
            id="none",
        ),
        pytest.param(
            graph(helper.make_node("Identity", ["rows"], ["out"]), classes='["no", "yes"]'),
            "^the onnx output out adds up to 0, not to 1: these are no probabilities: export those$",
            id="scores",
        ),
        pytest.param(
            converted(columns="a,b"),
            r"""^the onnx metadata entry foretell\.columns is no JSON list of names: 'a,b': write one, such as \["no", "yes"\]$""",
            id="facts",
        ),
        pytest.param(
            converted(classes='["yes"]'),
            r"^the onnx output probabilities has 2 classes, foretell\.classes names 1: name each class there$",
            id="classes",
        ),
        pytest.param(converted(classes="[1, 2]"), "foretell.classes is no JSON list of names", id="numbers-as-names"),
    ],
)
def test_graph_that_takes_no_rows_is_refused(artifact: bytes, message: str) -> None:
    with pytest.raises(ModelUnloadable, match=message):
        format_table.load("onnx", artifact)


def test_one_input_per_column_is_refused() -> None:
    inputs = [("a", FloatTensorType([None, 1])), ("b", FloatTensorType([None, 1]))]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    artifact = skl2onnx.convert_sklearn(pipeline, initial_types=inputs, options={"zipmap": False}).SerializeToString()
    with pytest.raises(ModelUnloadable, match=r"takes 2 inputs \(a, b\): export it with one, of shape \[rows, columns\]"):
        format_table.load("onnx", artifact)


@pytest.mark.parametrize(
    ("artifact", "named", "error", "message"),
    [
        (converted(), {}, ModelError, r"^model.onnx does not name its 2 columns: pass --columns a,b,c$"),
        (converted(), {"columns": ("a", "b")}, ModelError, r"^model.onnx does not name its classes: pass --classes x,y,z$"),
        (converted(), {"columns": ("a", "b"), "classes": ("yes",)}, ModelError, "model.onnx knows one class only, 'yes'"),
        (converted(), {"columns": ("a",), "classes": ("no", "yes")}, ModelMismatch, "has 2 columns, its manifest names 1"),
        (
            converted(),
            {"columns": ("a", "b"), "classes": ("no", "yes", "maybe")},
            ModelMismatch,
            r"^model\.onnx gives probabilities of 2 classes, its manifest names 3: add it with --classes that names each$",
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
            "has the classes no, yes, its manifest",
        ),
        (converted(), {"columns": ("a", "b"), "classes": ("no", "no")}, ModelError, "the name 'no' occurs twice"),
    ],
)
def test_missing_or_wrong_names_are_refused(
    tmp_path: Path, artifact: bytes, named: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        added(tmp_path, artifact, **named)


REGRESSOR = LinearRegression().fit(X, X @ [3, 4])
TWO = LinearRegression().fit(X, np.column_stack((X @ [3, 4], X @ [1, -5])))
LABELS = np.column_stack((X[:, 0] > 0.5, X[:, 1] > 0.3)).astype(int)


@pytest.mark.parametrize(("regressor", "targets"), [(REGRESSOR, 1), (TWO, 2)])
@pytest.mark.parametrize("number", [FloatTensorType, DoubleTensorType])
def test_regressor_gives_its_values(tmp_path: Path, regressor: Any, number: Any, targets: int) -> None:
    artifact = bytes(skl2onnx.convert_sklearn(regressor, initial_types=[("X", number([None, 2]))]).SerializeToString())
    manifest = added(tmp_path, artifact, columns=("a", "b")).read("yes", "1").manifest
    assert (manifest.classes, len(manifest.all_targets)) == ((), targets)
    runtime = format_table.load("onnx", artifact)
    (source,) = runtime.sources([FLOAT64] * 2, X[:1], [()])
    assert source.outputs == tuple(Output("value", 0, target) for target in range(targets))
    assert np.abs(source.run(X) - regressor.predict(X).reshape(len(X), -1)).max() < 1e-5


def test_regressor_takes_no_class_names(tmp_path: Path) -> None:
    artifact = bytes(skl2onnx.convert_sklearn(TWO, initial_types=[("X", FloatTensorType([None, 2]))]).SerializeToString())
    with pytest.raises(ModelMismatch, match=r"model.onnx gives numbers, no probabilities or labels of no, yes"):
        added(tmp_path, artifact, columns=("a", "b"), classes=("no", "yes"))


@pytest.mark.parametrize(
    ("answers", "classes"),
    [
        pytest.param(Y, ("no", "yes"), id="texts"),
        pytest.param(np.where(Y == "yes", 7, 3), ("3", "7"), id="numbers-by-name"),
        pytest.param(np.where(Y == "yes", 1, 0), ("no", "yes"), id="numbers-by-place"),
    ],
)
@pytest.mark.parametrize("model", [LogisticRegression, LinearSVC])
def test_labels_are_indices_of_their_classes(model: Any, answers: Any, classes: tuple[str, ...]) -> None:
    fitted = model().fit(X, answers)
    artifact = skl2onnx.convert_sklearn(fitted, initial_types=[("X", FloatTensorType([None, 2]))]).SerializeToString()
    sources = format_table.load("onnx", bytes(artifact)).sources([FLOAT64] * 2, X[:1], [classes])
    run = output_function(sources, [Output("label")])
    assert run(X)[:, 0].tolist() == [fitted.classes_.tolist().index(label) for label in fitted.predict(X).tolist()]
    kinds = {output.kind for output in all_outputs(sources)}
    assert kinds == ({"probability", "label"} if model is LogisticRegression else {"label"})


@pytest.mark.parametrize(
    "classifier",
    [MultiOutputClassifier(LogisticRegression()), OneVsRestClassifier(LogisticRegression()), KNeighborsClassifier()],
)
def test_several_targets_answer_like_scikit_learn(tmp_path: Path, classifier: Any) -> None:
    fitted = classifier.fit(X, LABELS)
    artifact = converted(fitted, DoubleTensorType)
    manifest = added(tmp_path, artifact, columns=("a", "b"), classes=("0", "1"), targets=("long", "wide")).read("yes", "1").manifest
    assert [(target.name, target.classes) for target in manifest.targets] == [("long", ("0", "1")), ("wide", ("0", "1"))]
    sources = format_table.load("onnx", artifact).sources([FLOAT64] * 2, X[:1], [("0", "1")] * 2)
    there = [Output("probability", 1, target) for target in range(2)]
    expected = fitted.predict_proba(X)
    expected = np.column_stack([each[:, 1] for each in expected]) if isinstance(expected, list) else expected
    assert np.abs(output_function(sources, there)(X) - expected).max() < 1e-6
    labels = [Output("label", 0, target) for target in range(2)]
    assert (output_function(sources, [*labels, *there])(X)[:, :2] == fitted.predict(X)).all()


def test_class_lists_come_from_the_metadata(tmp_path: Path) -> None:
    kinds = np.column_stack((Y, np.array(["a", "b", "c"])[np.digitize(X[:, 0], [0.3, 0.6])]))
    fitted = MultiOutputClassifier(LogisticRegression()).fit(X, kinds)
    artifact = converted(fitted, targets=json.dumps([["no", "yes"], ["a", "b", "c"]]))
    manifest = added(tmp_path, artifact, columns=("a", "b")).read("yes", "1").manifest
    assert [target.classes for target in manifest.targets] == [("no", "yes"), ("a", "b", "c")]
    with pytest.raises(
        ModelUnloadable,
        match=r"""foretell\.targets is no JSON list of lists of names: '\[1\]': write one, such as \[\["no", "yes"\]\]$""",
    ):
        format_table.load("onnx", converted(fitted, targets="[1]"))
