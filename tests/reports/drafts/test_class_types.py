"""A class is answered as a number only if the class itself is one, whatever its name looks like."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.multioutput import MultiOutputClassifier
from sklearn.tree import DecisionTreeClassifier

from foretell_contract.contract import load
from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelMismatch
from grpc_server.rows.answer_mapping import AnswerMapping
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import ClassType, Target, class_type, integer_classes
from grpc_server.store.manifest import Manifest
from grpc_server.store.repository import Repository
from tests.support.models.estimator_case import HEAD
from tests.support.servers.drafted_models import answers_by_both_doors, init, serving_drafts

# As in the server.
pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

FRAME = pd.DataFrame({"a": np.arange(60) % 6, "b": np.arange(60) / 60})

CASES: dict[str, tuple[list[Any], list[Any]]] = {
    # CorrelAid/pystatis#56, SauersML/gam#4221: leading zeros are lost.
    "zip": (["00501", "01001", "10001"], ["Y_00501", "Y_01001", "Y_10001"]),
    "twins": (["01", "1"], ["Y_01", "Y_1"]),
    # scikit-learn#2674: "0" and "1" as texts and as numbers.
    "digits": (["1", "2", "10"], ["Y_1", "Y_2", "Y_10"]),
    "zero": (["0", "1"], ["Y_0", "Y_1"]),
    "point": (["0.0", "1.0"], ["Y_0_0", "Y_1_0"]),
    "underscore": (["1_0", "2_0"], ["Y_1_0", "Y_2_0"]),
    "arabic": (["٣", "٤"], None),  # type: ignore[dict-item]  # The names are made up; each class has one of its own.
    "integers": ([3, 7, 12], [3, 7, 12]),
    "negative": ([-1, 1], [-1, 1]),
    "bools": ([False, True], [False, True]),
    "words": (["no", "yes"], [False, True]),
}
"""Classes, and the label that callers get for each."""


def trained(classes: list[Any]) -> Any:
    values = np.array(classes, object if isinstance(classes[0], str) else None)
    return DecisionTreeClassifier(random_state=0).fit(FRAME, values[FRAME.a % len(classes)])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_each_class_has_an_answer_of_its_own(tmp_path: Path, name: str) -> None:
    classes, labels = CASES[name]
    data = FRAME.assign(y=[str(classes[each % len(classes)]) for each in FRAME.a])
    data.to_csv(tmp_path / "data.csv", index=False)
    done = init(tmp_path, name, trained(classes), "--data", tmp_path / "data.csv", "--target", "y")
    assert done.exit_code == 0, done.output
    rows = [{"a": index, "b": 0.5} for index in range(len(classes))]
    with serving_drafts(tmp_path) as server:
        answers = [answer["y"] for answer in answers_by_both_doors(server, name, rows)]
    assert labels is None or [(type(answer), answer) for answer in answers] == [(type(label), label) for label in labels]
    assert len(set(answers)) == len(classes)


@pytest.mark.parametrize(
    ("classes", "of_type", "integers", "is_integer"),
    [
        (("00501", "01001"), "text", None, False),
        (("1", "01"), "text", None, False),
        (("1", "2"), "text", (1, 2), False),  # An author may declare such classes as numbers: none is changed by that.
        (("1", "2"), "integer", (1, 2), True),
        (("10", "20"), "", (10, 20), True),  # As --classes of a booster.
        (("010", "020"), "", None, False),
        (("+1", "-1"), "", None, False),
        (("-0", "0"), "", None, False),
        (("1_0", "2_0"), "", None, False),
        ((" 1", "2"), "", None, False),
        (("٣", "٤"), "", None, False),
        (("False", "True"), "bool", None, False),
        (("1.0", "2.0"), "number", None, False),
    ],
)
def test_integers_are_classes_that_are_spelled_as_such(
    classes: tuple[str, ...], of_type: ClassType, integers: tuple[int, ...] | None, is_integer: bool
) -> None:
    target = Target("", classes, of_type)
    assert (integer_classes(target), target.has_integer_classes) == (integers, is_integer)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(["a", "1"], "text"), ([1, 2], "integer"), ([True, False], "bool"), ([0.5, 1.0], "number"), ([1, "a"], ""), ([], "")],
)
def test_type_of_classes(classes: list[Any], expected: ClassType) -> None:
    assert class_type(classes) == expected


@pytest.mark.parametrize("classes", [("00501", "01001"), ("1", "01"), ("1.0", "2.0"), ("a", "b")])
@pytest.mark.parametrize("of_type", ["text", ""])
def test_integer_field_refuses_classes_that_it_would_change(tmp_path: Path, classes: tuple[str, ...], of_type: ClassType) -> None:
    (tmp_path / "kind").mkdir()
    message = "message Features { double a = 1; } message Response { int32 label = 1; }"
    (tmp_path / "kind" / "kind.proto").write_text(HEAD.replace("{package}", "kind") + message)
    contract = load(tmp_path)
    answer = contract.services[0].methods[0].answer
    with pytest.raises(ModelMismatch, match=r"kind.v1.Response.label cannot hold a label such as .*; make it an enum or a string"):
        AnswerMapping(contract, answer, [Target("", classes, of_type)], [Output("label")])
    AnswerMapping(contract, answer, [Target("", ("1", "2"), of_type)], [Output("label")])


@pytest.mark.parametrize(
    ("declared", "classes", "refused"),
    [
        ("int32", (1, 2**31), "'2147483648'; make it an int64, or an enum or a string"),
        ("sint32", (-(2**31) - 1, 1), "'-2147483649'; make it an int64"),
        ("uint32", (-1, 1), "'-1'; make it an int64"),
        ("uint32", ("outlier", "inlier"), "'outlier'; make it an int64"),
        ("int64", (1, 2**63), "'9223372036854775808'; make it an enum or a string"),
        ("uint64", (1, 2**63), ""),
        ("int64", (1, 2**31), ""),
        ("uint32", (1, 2**31), ""),
        ("int32", (-(2**31), 2**31 - 1), ""),
    ],
)
def test_class_beyond_its_field_is_refused_with_the_type_that_holds_it(
    tmp_path: Path, declared: str, classes: tuple[Any, ...], refused: str
) -> None:
    """tensorflow/models#6641: a class beyond the integer that holds it."""
    (tmp_path / "kind").mkdir()
    message = f"message Features {{ double a = 1; }} message Response {{ {declared} label = 1; }}"
    (tmp_path / "kind" / "kind.proto").write_text(HEAD.replace("{package}", "kind") + message)
    contract = load(tmp_path)
    target = Target("", tuple(map(str, classes)), "text" if classes[0] == "outlier" else "integer")
    with pytest.raises(ModelMismatch) if refused else nullcontext() as found:
        AnswerMapping(contract, contract.services[0].methods[0].answer, [target], [Output("label")])
    assert found is None or f"kind.v1.Response.label cannot hold a label such as {refused}" in str(found.value)


def test_manifest_records_the_type_and_reads_manifests_without_it(tmp_path: Path) -> None:
    done = init(tmp_path, "zip", trained(["00501", "01001"]))
    assert done.exit_code == 0, done.output
    text = (tmp_path / "models/zip/1/manifest.json").read_text()
    assert Manifest.model_validate_json(text).all_targets == (Target("", ("00501", "01001"), "text"),)
    older = {name: value for name, value in json.loads(text).items() if name != "class_type"} | {"classes": ["3", "4"]}
    assert Manifest.model_validate(older).all_targets[0].has_integer_classes


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["01", "1"], Target("", ("01", "1"), "text")),
        (["1", "2"], Target("", ("1", "2"), "text")),
        ([1, 2], Target("", ("1", "2"))),
    ],
)
@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_labels_that_are_texts_stay_texts(tmp_path: Path, classes: list[Any], expected: Target, *, zipmap: bool) -> None:
    model = trained(classes)
    graph = to_onnx(model, np.zeros((1, 2), np.float32), options={id(model): {"zipmap": zipmap}})
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    repository = Repository(tmp_path / "models")
    add_model(repository, tmp_path / "m.onnx", "m", ("a", "b"), classes=() if zipmap else expected.classes)
    (target,) = repository.read("m", "1").manifest.all_targets
    assert target == expected
    assert target.has_integer_classes == (not expected.class_type)


def test_type_of_each_target_is_recorded(tmp_path: Path) -> None:
    answers = np.column_stack([np.array(["0", "01", "1"], object)[FRAME.a % 3], np.array(["no", "yes"], object)[FRAME.a % 2]])
    model = MultiOutputClassifier(DecisionTreeClassifier()).fit(FRAME, answers)
    done = init(tmp_path, "two", model)
    assert done.exit_code == 0, done.output
    manifest = Manifest.model_validate_json((tmp_path / "models/two/1/manifest.json").read_text())
    assert [target.class_type for target in manifest.targets] == ["text", "text"]
