"""Whatever columns, classes, categories and targets are called, callers can tell them apart and get their answers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from typer.testing import CliRunner

from foretell.cli import app
from foretell_contract.source.spelling import snake
from tests.foretell.init.test_init_command import buf
from tests.support.effort import tries
from tests.support.servers.drafted_models import answers_by_both_doors, draft, init, refusal, serving_drafts
from tests.support.servers.many_models import BridgedServer

# As in the server.
pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

NUMBERS = pd.DataFrame({"a": np.arange(60) % 6, "b": np.arange(60) / 60})

Model = tuple[Any, pd.DataFrame, list[dict[str, Any]], list[dict[str, Any]]]
"""An estimator, its data, rows, and parts of their answers."""


def labelled(classes: list[Any], target: str, labels: list[Any], **fields: list[float]) -> Model:
    """A tree that predicts one of `classes` for each `a`; `labels` and `fields` are the answers of the first rows."""
    held = np.empty(len(NUMBERS), object)
    held[:] = [classes[each % len(classes)] for each in NUMBERS.a]
    values = held if isinstance(classes[0], str) else held.astype(type(classes[0]))
    model = DecisionTreeClassifier(random_state=0).fit(NUMBERS, values)
    rows = [{"a": index, "b": 0.5} for index in range(len(classes))]
    parts = [{target: label} | {name: values[index] for name, values in fields.items()} for index, label in enumerate(labels)]
    return model, NUMBERS.assign(**{target: held}), rows, parts


def several_numbers(*targets: str) -> Model:
    goals = pd.DataFrame({name: NUMBERS.a * (number + 1.0) for number, name in enumerate(targets)})
    model = LinearRegression().fit(NUMBERS, goals)
    parts = [{snake(name, "target"): pytest.approx(2.0 * (number + 1)) for number, name in enumerate(targets)}]
    return model, pd.concat([NUMBERS, goals], axis=1), [{"a": 2, "b": 0.5}], parts


def decisions() -> Model:
    """Three classes of a target that has the name of another output."""
    classes = np.array(["u", "v", "w"])[NUMBERS.a % 3]
    model = RidgeClassifier().fit(NUMBERS, classes)
    values = model.decision_function(pd.DataFrame([{"a": 2, "b": 0.5}])).tolist()[0]
    return model, NUMBERS.assign(decision=classes), [{"a": 2, "b": 0.5}], [{"decisions": pytest.approx(values)}]


def categories(name: str, texts: list[str], values: list[str]) -> Model:
    """A column of texts, and the enum value of each."""
    frame = pd.DataFrame({name: [texts[each % len(texts)] for each in range(60)]})
    target = np.arange(60) % len(texts) * 1.0
    model = make_pipeline(ColumnTransformer([("all", OneHotEncoder(), [name])]), LinearRegression()).fit(frame, target)
    field = snake(name, "column")
    rows = [{field if field != "none" else "none": value} for value in values]
    return model, frame.assign(y=target), rows, [{"value": pytest.approx(index, abs=1e-9)} for index in range(len(texts))]


def columns(*names: str) -> Model:
    frame = pd.DataFrame({name: np.arange(60) * (number + 1.0) for number, name in enumerate(names)})
    target = np.arange(60) * 2.0
    rows = [{snake(name, "column"): float(3 * (number + 1)) for number, name in enumerate(names)}]
    return LinearRegression().fit(frame, target), frame.assign(y=target), rows, [{"value": pytest.approx(6)}]


CASES: dict[str, tuple[str, Callable[[], Model]]] = {
    "upper_and_lower": ("y", lambda: labelled(["A", "a"], "y", ["Y_A", "Y_A_2"], a_probability=[1, 0], a_probability_2=[0, 1])),
    "three_of_a_kind": ("y", lambda: labelled(["a b", "a_b", "aB"], "y", ["Y_A_B", "Y_A_B_3", "Y_A_B_2"])),
    "class_like_a_suffix": ("y", lambda: labelled(["a", "a_probability"], "y", ["Y_A", "Y_A_PROBABILITY"])),
    "target_value": ("value", lambda: labelled(["u", "v"], "value", ["VALUE_U", "VALUE_V"], u_probability=[1, 0])),
    "target_score": ("score", lambda: labelled(["u", "v"], "score", ["SCORE_U", "SCORE_V"])),
    "target_lower": ("lower", lambda: labelled([3, 7], "lower", [3, 7])),
    "target_probability": ("probability", lambda: labelled(["u", "v"], "probability", ["PROBABILITY_U", "PROBABILITY_V"])),
    "target_cluster": ("cluster", lambda: labelled(["no", "yes"], "cluster", [False, True])),
    "target_decision": ("decision", decisions),
    "targets_of_outputs": ("value,lower,std", lambda: several_numbers("value", "lower", "std")),
    "targets_and_suffixes": ("height,height_std", lambda: several_numbers("height", "height_std")),
    "empty_class": ("y", lambda: labelled(["", "x"], "y", ["Y_EMPTY", "Y_X"], empty_probability=[1, 0])),
    "empty_category": ("y", lambda: categories("shop", ["", "north"], ["SHOP_EMPTY", "SHOP_NORTH"])),
    "keyword": ("y", lambda: categories("None", ["in", "is"], ["NONE_VALUE_IN", "NONE_VALUE_IS"])),
    "question_mark": ("y", lambda: categories("work", ["?", "Private"], ["WORK_QUESTION_MARK", "WORK_PRIVATE"])),
    "signs": ("y", lambda: labelled([-1, 1], "y", [-1, 1], class_minus_1_probability=[1, 0], class_1_probability=[0, 1])),
    "text_signs": ("y", lambda: labelled(["+1", "-1"], "y", ["Y_PLUS_1", "Y_MINUS_1"], class_plus_1_probability=[1, 0])),
    "blood_groups": ("y", lambda: labelled(["O+", "O-"], "y", ["Y_O_PLUS", "Y_O_MINUS"], o_minus_probability=[0, 1])),
    "incomes": ("y", lambda: labelled(["<=50K", ">50K"], "y", ["Y_AT_MOST_50K", "Y_ABOVE_50K"])),
    "floats": ("y", lambda: labelled([1.0, 2.0, 3.0], "y", ["Y_1", "Y_2", "Y_3"], class_2_probability=[0, 1, 0])),
    "scripts": ("y", lambda: columns("площадь, м²", "长度", "humidity (%)", "Größe")),
    "script_classes": ("y", lambda: labelled(["да", "нет"], "y", ["Y_DA", "Y_NET"], da_probability=[1, 0])),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("names")
    for name, (target, make) in CASES.items():
        model, data, _, _ = make()
        data.to_parquet(root / f"{name}.parquet")
        draft(root, name, model, "--data", root / f"{name}.parquet", "--target", target)
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[BridgedServer]:
    with serving_drafts(root) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_answers_are_the_estimators_under_any_name(server: BridgedServer, name: str) -> None:
    _, _, rows, parts = CASES[name][1]()
    answers = answers_by_both_doors(server, name, rows)
    assert [{field: answer.get(field) for field in part} for answer, part in zip(answers, parts, strict=True)] == parts


@pytest.mark.slow
def test_drafts_pass_check_and_buf(root: Path) -> None:
    done = CliRunner().invoke(app, ["check", "--protos", str(root / "protos"), "--models", str(root / "models")])
    assert (done.exit_code, done.output) == (0, "Nothing is wrong.\n")
    for arguments in (("format", "-d", "--exit-code", *(f"--path=protos/{name}" for name in CASES)), ("lint",)):
        looked = buf(root, *arguments)
        assert (looked.returncode, looked.stdout) == (0, "")


@pytest.mark.slow
def test_comment_and_option_keep_the_original(root: Path) -> None:
    text = (root / "protos/scripts/v1/scripts.proto").read_text()
    assert "// Площадь, м², a number." in text
    assert '(foretell.v1.column) = "площадь, м²"' in text
    assert "optional double zhang_du = 2" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("-1", "class_minus_1"),
        ("+1", "class_plus_1"),
        ("\N{MINUS SIGN}2", "class_minus_2"),
        ("C++", "c_plus_plus"),
        ("C#", "c_sharp"),
        ("R&D", "r_and_d"),
        ("≥3", "at_least_3"),
        ("<3", "below_3"),
        ("a->b", "a_b"),
        ("pre-paid", "pre_paid"),
        ("большой", "bolshoy"),
        ("", "empty"),
        ("?", "question_mark"),
        ("\x00", "class"),
    ],
)
def test_signs_and_scripts_become_words(name: str, expected: str) -> None:
    assert snake(name, "class") == expected


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)


@st.composite
def named_models(draw: st.DrawFn) -> tuple[str, list[str], list[str]]:
    """The name of a text column, its categories and the classes."""
    categories = draw(st.lists(TEXTS, min_size=2, max_size=4, unique=True))
    return (
        draw(TEXTS.filter(bool)),
        categories,
        draw(st.lists(TEXTS, min_size=len(categories), max_size=len(categories), unique=True)),
    )


@pytest.mark.parametrize(
    ("first", "second", "twice"),
    [
        (("k", ["b.c", "x"]), ("k.b", ["c", "y"]), "probability.k.b.c"),
        (("p.q", ["r.s", "x"]), ("p", ["q.r.s", "y"]), "probability.p.q.r.s"),
        (("größe", ["a.1", "b"]), ("größe.a", ["1", "c"]), "probability.größe.a.1"),
        (("k.b", ["c", "x"]), ("c", ["k.b", "y"]), ""),
    ],
)
def test_two_outputs_of_one_name_are_refused(
    tmp_path: Path, first: tuple[str, list[str]], second: tuple[str, list[str]], twice: str
) -> None:
    goals = pd.DataFrame({name: np.resize(np.array(classes, object), 60) for name, classes in (first, second)})
    model = DecisionTreeClassifier(random_state=0).fit(NUMBERS, goals)
    NUMBERS.join(goals).to_parquet(tmp_path / "data.parquet")
    arguments = ("--data", tmp_path / "data.parquet", "--target", f"{first[0]},{second[0]}")
    if twice:
        says = f"m.joblib has two outputs {twice!r}: give one of {first[0]}, {second[0]} a name without a dot"
        assert refusal(tmp_path, "m", model, *arguments) == says
    else:
        assert init(tmp_path, "m", model, *arguments).exit_code == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(st.lists(named_models(), min_size=2, max_size=2))
@settings(max_examples=tries(1, 50), derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_any_text_is_a_name(tmp_path_factory: pytest.TempPathFactory, models: list[tuple[str, list[str], list[str]]]) -> None:
    """Two models a server. A row is fed by its field's number, and the answer's label is read by its enum's."""
    root = tmp_path_factory.mktemp("texts")
    for place, (column, categories, classes) in enumerate(models):
        frame = pd.DataFrame({column: [categories[each % len(categories)] for each in range(40)]})
        target = np.empty(40, object)
        target[:] = [classes[each % len(classes)] for each in range(40)]
        tree = make_pipeline(ColumnTransformer([("all", OneHotEncoder(), [column])]), DecisionTreeClassifier(random_state=0))
        frame.assign(**{f"{column}target": target}).to_parquet(root / f"m{place}.parquet")
        done = init(root, f"m{place}", tree.fit(frame, target), "--data", root / f"m{place}.parquet")
        assert done.exit_code == 0, done.output
    with serving_drafts(root) as server:
        for place, (_, categories, classes) in enumerate(models):
            features = server.methods[f"m{place}.Predict"].features.fields[0]
            names = [value.name for value in features.enum_type.values][1:]
            rows = [{features.name: name} for name in names]
            answers = answers_by_both_doors(server, f"m{place}", rows)
            labels = [answer[server.methods[f"m{place}.Predict"].answer.fields[0].name] for answer in answers]
            by_category = dict(zip(sorted(categories), labels, strict=True))
            expected = dict(zip(sorted(classes), sorted_names(server, place), strict=True))
            assert by_category == {text: expected[label] for text, label in zip(categories, classes, strict=True)}


def sorted_names(server: BridgedServer, place: int) -> list[str]:
    """The values of the label's enum, in the order of the model's classes."""
    return [value.name for value in server.methods[f"m{place}.Predict"].answer.fields[0].enum_type.values][1:]
