"""`foretell init` on a model that was trained again: drafted parts follow the data, the author's parts stay."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.errors import SetupError
from grpc_server.store.repository import Repository
from tests.foretell.init.test_init_command import buf, init

pytestmark = pytest.mark.slow


def train(root: Path, frame: pd.DataFrame, labels: Any, *arguments: str) -> Result:
    joblib.dump(LogisticRegression().fit(frame, labels), root / "flower.joblib")
    frame.to_csv(root / "flower.csv", index=False)
    return init(root, root / "flower.joblib", "--data", root / "flower.csv", *arguments)


def flowers(scale: float = 1.0, *names: str) -> pd.DataFrame:
    names = names or ("length", "width", "depth")
    return pd.DataFrame({name: np.linspace(scale, 3 * scale, 30) + place for place, name in enumerate(names)})


KINDS = np.resize(["red", "blue", "green"], 30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    assert train(tmp_path, flowers(), KINDS).exit_code == 0
    return tmp_path


def contract(root: Path) -> Path:
    return root / "protos/flower/v1/flower.proto"


def edit(root: Path, old: str, new: str) -> None:
    text = contract(root).read_text()
    assert text.count(old) == 1, old
    contract(root).write_text(text.replace(old, new))


def test_same_model_leaves_the_file_unchanged(root: Path) -> None:
    before = contract(root).read_bytes()
    done = train(root, flowers(), KINDS)
    assert contract(root).read_bytes() == before
    assert "No difference that callers could notice." in done.output
    assert Repository(root / "models").versions("flower") == ["1", "2"]


def test_bounds_follow_the_data(root: Path) -> None:
    before = contract(root).read_text()
    assert "Length, a number. Seen in training: 1 to 3." in before
    train(root, flowers().assign(length=lambda frame: frame.length * 1.2), KINDS, "--tighten", "--write-breaking")
    changed = [
        (a.strip(), b.strip()) for a, b in zip(before.splitlines(), contract(root).read_text().splitlines(), strict=True) if a != b
    ]
    assert changed == [
        ("// Length, a number. Seen in training: 1 to 3.", "// Length, a number. Seen in training: 1.2 to 3.6."),
        ("(buf.validate.field).double.lte = 4,", "(buf.validate.field).double.lte = 4.9,"),
    ]  # fmt: skip


def test_example_outside_the_new_bounds_is_replaced(root: Path) -> None:
    train(root, flowers() + 100, KINDS, "--tighten", "--write-breaking")
    low, example = (
        float(contract(root).read_text().partition(f"double.{rule} = ")[2].split(",")[0].split("\n")[0])
        for rule in ("gte", "example")
    )
    assert low == 100
    assert 101 <= example <= 103


def test_new_fields_are_appended_and_lost_ones_reserved(root: Path) -> None:
    retrained = flowers(1, "length", "depth", "Height (m)"), np.resize(["red", "blue", "pink"], 30)
    before = contract(root).read_bytes()
    refused = train(root, *retrained)
    assert (refused.exit_code, contract(root).read_bytes()) == (1, before)
    done = train(root, *retrained, "--write-breaking")
    text = contract(root).read_text()
    for part in (
        "optional double length = 1 [",
        '  // Reserved: the model no longer has it.\n  reserved 2;\n  reserved "width";\n',
        "optional double depth = 3 [",
        "optional double height_m = 4 [\n    (foretell.v1.column) = \"Height (m)\",",
        "reserved 3;\n  reserved \"green_probability\";",
        "double pink_probability = 5 [",
        "reserved 2;\n  reserved \"LABEL_GREEN\";",
        "LABEL_PINK = 4;",
    ):  # fmt: skip
        assert part in text, part
    assert "Features.width: removed" in done.output
    again = train(root, flowers(1, "length", "width"), np.resize(["red", "green"], 30), "--write-breaking")
    assert again.exit_code == 0
    assert "optional double width_2 = 5 [" in contract(root).read_text()  # A reserved name is not used again.
    for arguments in (("format", "-d", "--exit-code", "--path=protos/flower"), ("lint",)):
        looked = buf(root, *arguments)
        assert (looked.returncode, looked.stdout) == (0, "")


def test_time_bounds_and_comments_follow_the_data(tmp_path: Path) -> None:
    def trained(year: int, hours: int) -> str:
        since = pd.Series(pd.date_range(f"{year}-01-01", periods=30, freq="D"))
        frame = pd.DataFrame({"since": since, "waited": pd.to_timedelta(np.arange(30) * hours, unit="h")})
        model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
        joblib.dump(model.fit(frame, KINDS), tmp_path / "flower.joblib")
        frame.to_parquet(tmp_path / "flower.parquet")
        done = init(tmp_path, tmp_path / "flower.joblib", "--data", tmp_path / "flower.parquet")
        assert done.exit_code == 0, done.output
        return " ".join(contract(tmp_path).read_text().replace("//", "").split())

    first = trained(2026, 1)
    assert "Since, a timestamp. Seen in training: 2026-01-01 to 2026-01-30. Accepted: 1900-01-01 to 2200-01-01." in first
    assert "Waited, a duration. Seen in training: 0s to 1d5h. Accepted: 0s to 1d20h." in first
    edit(tmp_path, "// Since, a", "// Of the first bud, a")
    second = trained(2226, 2)
    assert "Of the first bud, a timestamp. Seen in training: 2026-01-01 to 2226-01-30. Accepted: 1900-01-01 to 2300-" in second
    assert "Waited, a duration. Seen in training: 0s to 2d10h. Accepted: 0s to 3d15h." in second
    assert "(buf.validate.field).duration.lte.seconds = 313200" in second
    checked = CliRunner().invoke(app, ["check", "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")])
    assert checked.output == "Nothing is wrong.\n"


def test_authors_comments_and_bounds_stay(root: Path) -> None:
    edit(root, "// Length, a number. Seen", "// By a ruler, in centimetres; the longest petal of the whole flower counts. Seen")
    edit(root, "// Width, a number. Seen in training: 2 to 4.", "// Written by hand.")
    edit(root, "(buf.validate.field).double.lte = 6,\n", "(buf.validate.field).double.lte = 7.25,  // The ruler ends here.\n")
    edit(
        root,
        "message Features {\n",
        'message Features {\n  option (buf.validate.message).cel = {\n    id: "long"\n    message: "longer than deep"\n'
        '    expression: "this.depth > this.length"\n  };\n\n',
    )
    before = contract(root).read_text()
    done = train(root, flowers(2), KINDS)
    text = contract(root).read_text()
    assert "By a ruler, in centimetres; the longest petal of the whole flower counts." in " ".join(text.replace("//", "").split())
    assert "Seen in training: 1 to 6." in " ".join(text.replace("//", "").split())
    assert "// Written by hand.\n" in text
    assert "double.lte = 7.25,  // The ruler ends here.\n" in text
    assert "flower.v1.Features.depth has bounds of your own, which exclude training data." in done.output
    assert before.partition("option (buf.validate.message)")[2].partition("};")[0] in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("service FlowerService {", "service FlowerService", 'Expected "{"', id="does-not-compile"),
        pytest.param(
            "double red_probability", "double redd", "no output of the model matches flower.v1.Response.redd", id="answer"
        ),
        pytest.param(
            "message Features {\n",
            'message Features {\n  option (buf.validate.message).cel = {\n    id: "a"\n    message: "b"\n'
            '    expression: "this.wide > 1.0"\n  };\n',
            "no_such_field : wide",
            id="rule",
        ),
    ],
)
def test_refused_update_changes_nothing(root: Path, old: str, new: str, message: str) -> None:
    edit(root, old, new)
    before = contract(root).read_bytes()
    with pytest.raises(SetupError) as refusal:
        train(root, flowers(2), KINDS)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert contract(root).read_bytes() == before
    assert Repository(root / "models").versions("flower") == ["1"]


def test_fractions_in_an_integer_field_are_refused(tmp_path: Path) -> None:
    assert train(tmp_path, pd.DataFrame({"rooms": range(30)}), KINDS).exit_code == 0
    with pytest.raises(SetupError, match=r"Features.rooms holds integers, but the data has fractions in 'rooms'"):
        train(tmp_path, pd.DataFrame({"rooms": np.linspace(0, 1, 30)}), KINDS)
    done = train(tmp_path, pd.DataFrame({"rooms": np.linspace(0, 1, 30)}), KINDS, "--package", "flower.v2")
    assert done.exit_code == 0, done.output
    assert "/flower/v2/predict" in done.output


def test_untouched_draft_without_data_is_replaced(tmp_path: Path) -> None:
    train(tmp_path, flowers(), KINDS)
    drafted = contract(tmp_path).read_text()
    contract(tmp_path).unlink()
    assert init(tmp_path, tmp_path / "flower.joblib").exit_code == 0
    assert contract(tmp_path).read_text().count("its range is unknown") == 3
    train(tmp_path, flowers(), KINDS)
    assert contract(tmp_path).read_text() == drafted


def test_edited_draft_without_data_is_kept(tmp_path: Path) -> None:
    joblib.dump(LogisticRegression().fit(flowers(), KINDS), tmp_path / "flower.joblib")
    init(tmp_path, tmp_path / "flower.joblib")
    edit(tmp_path, "// Length, a number; its range is unknown.", "// By a ruler, in centimetres.")
    before = contract(tmp_path).read_text()
    train(tmp_path, flowers(), KINDS)
    assert contract(tmp_path).read_text() == before


def test_required_field_with_gaps_is_noted(tmp_path: Path) -> None:
    for frame in (flowers(), flowers().assign(width=lambda frame: frame.width.where(frame.width > 2.5))):
        joblib.dump(HistGradientBoostingClassifier(max_iter=2).fit(frame, KINDS), tmp_path / "flower.joblib")
        frame.to_csv(tmp_path / "flower.csv", index=False)
        done = init(tmp_path, tmp_path / "flower.joblib", "--data", tmp_path / "flower.csv")
    assert (
        "note: flower.v1.Features.width is required, but is missing in 8 of 30 rows, and the model answers such rows: "
        "remove `required` if callers may leave it out too\n"
    ) in done.output


def several(root: Path, goals: pd.DataFrame) -> Result:
    joblib.dump(DecisionTreeClassifier().fit(flowers(), goals), root / "flower.joblib")
    pd.concat([flowers(), goals], axis=1).to_csv(root / "flower.csv", index=False)
    return init(root, root / "flower.joblib", "--data", root / "flower.csv", "--target", ",".join(goals))


def test_new_target_is_noted_only(tmp_path: Path) -> None:
    goals = pd.DataFrame({"colour": KINDS, "wild": np.resize(["no", "yes"], 30)})
    several(tmp_path, goals)
    before = contract(tmp_path).read_text()
    assert "note:" not in several(tmp_path, goals).output
    done = several(tmp_path, goals.assign(rare=np.resize(["yes", "no"], 30)))
    assert contract(tmp_path).read_text() == before
    assert (
        "note: flower.v1.Response has no rare, rare_probability, which the model predicts: add the fields that callers need, "
        "or pass --package flower.v2 for a contract beside it\n"
    ) in done.output
    assert several(tmp_path, goals.assign(colour=np.resize(["blue", "pink", "green"], 30))).exit_code == 1
    assert contract(tmp_path).read_text() == before


def test_printed_call_uses_the_http_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_HTTP_ADDRESS", "127.0.0.1:9191")
    assert "curl -s http://127.0.0.1:9191/flower/predict " in train(tmp_path, flowers(), KINDS).output
