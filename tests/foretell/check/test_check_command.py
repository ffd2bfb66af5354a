"""`foretell check`: problems of contracts and models, output formats and exit codes."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app
from grpc_server.checks.add_model import add_model
from grpc_server.store.repository import Repository
from tests.conftest import PROTOS
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract
from tests.support.iris import COLUMNS
from tests.support.processes import copy_models, refused


def check(protos: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments), "--protos", str(protos)])


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    shutil.copytree(PROTOS / "iris", tmp_path / "protos/iris")
    return tmp_path / "protos"


def edit(protos: Path, old: str, new: str) -> None:
    file = protos / "iris/v1/iris.proto"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_iris_and_its_model_have_no_problems(models: Path) -> None:
    for arguments in ([], ["iris"]):
        done = check(PROTOS, *arguments, "--models", models)
        assert (done.exit_code, done.output) == (0, "Nothing is wrong.\n")


def test_contract_without_model_is_checked(tmp_path: Path) -> None:
    assert check(PROTOS, "--models", tmp_path / "none").output == "Nothing is wrong.\n"


def test_warnings_alone_exit_with_0(protos: Path, tmp_path: Path) -> None:
    edit(protos, "  // Probability that the flower is an Iris setosa.\n", "")
    done = check(protos, "--models", tmp_path)
    assert (done.exit_code, done.output) == (
        0,
        "iris/v1/iris.proto:115: warning: iris.v1.Response.setosa_probability has no comment. "
        "Fix: add one above it: what it is, and in which unit.\n1 warning\n",
    )


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        pytest.param(
            {"double petal_width": "double petal_wdth"},
            [
                '105: error: iris.v1.Features.petal_wdth matches no column of the model; did you mean "petal_width"? '
                'Fix: rename it, or set (foretell.v1.column) = "petal_width".'
            ],
            id="misspelt-column",
        ),
        pytest.param(
            {"double petal_width": "double colour"},
            [
                "75: error: the model's column 'petal_width' has no field in iris.v1.Features. "
                'Fix: add a field with that name, or set (foretell.v1.column) = "petal_width" on one.',
                "105: error: iris.v1.Features.colour matches no column of the model. Fix: remove it, or train the model with it.",
            ],
            id="missing-and-extra-column",
        ),
        pytest.param(
            {"setosa_probability": "sertosa_probability"},
            [
                '116: error: iris.v1.Response.sertosa_probability matches no class of the model; did you mean "setosa"? '
                'Fix: name it after that class, or set (foretell.v1.output).probability_of = "setosa".'
            ],
            id="misspelt-class",
        ),
        pytest.param(
            {"double setosa_probability": "double x_probability"},
            [
                "114: error: the model's class 'setosa' has no <class>_probability field in iris.v1.Response. "
                'Fix: add one, or set (foretell.v1.output).probability_of = "setosa" on one.',
                "116: error: iris.v1.Response.x_probability matches no class of the model. "
                "Fix: name it after one of setosa, versicolor, virginica, or set (foretell.v1.output).",
            ],
            id="missing-and-extra-class",
        ),
        pytest.param(
            {
             "double petal_width": "string petal_width",
             "double.gte = 0,\n    (buf.validate.field).double.lte = 1,\n"
             "    (buf.validate.field).double.example = 1.0": "string.max_len = 9",
             "double setosa_probability": "double certainty",
            },
            [
                "105: error: petal_width is text, but the model's column 'petal_width' holds numbers. Fix: declare it as a number.",
                "112: error: the model's class 'setosa' has no <class>_probability field in iris.v1.Response. "
                'Fix: add one, or set (foretell.v1.output).probability_of = "setosa" on one.',
                "114: error: no output of the model matches iris.v1.Response.certainty. "
                "Fix: rename it to <class>_probability or label, or set (foretell.v1.output).",
            ],
            id="wrong-type-and-what-nothing-fills",
        ),
    ],
)  # fmt: skip
def test_mismatches_with_the_model_are_errors(protos: Path, models: Path, changes: dict[str, str], errors: list[str]) -> None:
    for old, new in changes.items():
        edit(protos, old, new)
    done = check(protos, "--models", models)
    lines = [line.removeprefix("iris/v1/iris.proto:") for line in done.output.splitlines()[:-1] if ": error: " in line]
    assert (done.exit_code, lines) == (1, errors)


def test_changed_library_version_is_a_warning(models: Path, tmp_path: Path) -> None:
    copy_models(models, tmp_path / "models")
    file = tmp_path / "models/iris/1/manifest.json"
    manifest = json.loads(file.read_text())
    now = manifest["libraries"]["numpy"]
    manifest["libraries"] |= {"numpy": "1.0.2", "not-installed": "1"}
    file.write_text(json.dumps(manifest))
    done = check(PROTOS, "--models", tmp_path / "models")
    assert (done.exit_code, done.output) == (
        0,
        f"iris/v1/iris.proto:42: warning: model 'iris' version 1 was added with numpy 1.0.2, but {now} is installed. "
        "Fix: install that version, or train and add it again.\n1 warning\n",
    )


def test_named_model_must_exist(tmp_path: Path) -> None:
    done = check(PROTOS, "iris", "--models", tmp_path)
    reason = f"no model 'iris' in {tmp_path}. Fix: add one with `foretell add FILE --name iris`."
    assert (done.exit_code, done.output) == (1, f"iris/v1/iris.proto:42: error: {reason}\n1 error\n")
    code, stderr = refused("foretell", "check", "churn", protos=str(PROTOS))
    assert (code, stderr) == (2, f"foretell: no service under {PROTOS} has the model 'churn'\n")


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        pytest.param("golden.jsonl", "{}", "GOLDEN is not as it was added (its SHA-256 differs)", id="altered"),
        pytest.param("golden.jsonl", None, "GOLDEN cannot be read (No such file or directory)", id="missing"),
        pytest.param("manifest.json", "{}", "FOLDER/manifest.json is not a manifest", id="manifest"),
    ],
)
def test_altered_version_is_an_error(models: Path, tmp_path: Path, file: str, text: str | None, reason: str) -> None:
    copy_models(models, tmp_path / "models")
    folder = tmp_path / "models/iris/1"
    (folder / file).unlink()
    if text is not None:
        (folder / file).write_text(text)
    done = check(PROTOS, "--models", tmp_path / "models")
    reason = reason.replace("GOLDEN", str(folder / "golden.jsonl")).replace("FOLDER", str(folder))
    assert (done.exit_code, done.output) == (
        1,
        f"iris/v1/iris.proto:42: error: {reason}. Fix: add the model again.\n1 error\n",
    )


def test_reserved_rest_path_is_an_error(protos: Path, tmp_path: Path) -> None:
    edit(protos, 'post: "/predict"\n', 'post: "/docs"\n')
    done = check(protos, "--models", tmp_path)
    reason = "the REST path /docs of iris.v1.IrisService.Predict is one of the bridge's own pages"
    assert (done.exit_code, done.output.splitlines()[0].partition("error: ")[2]) == (
        1,
        f"{reason}. Fix: give it another path in google.api.http.",
    )


def test_type_without_json_form_is_an_error(tmp_path: Path) -> None:
    mask = 'import "google/protobuf/field_mask.proto";'
    root = write_contract(tmp_path, mask, SERVICE, features("google.protobuf.FieldMask x"), RESPONSE)
    done = check(root, "--models", tmp_path)
    assert done.exit_code == 1
    assert (
        "test/v1/test.proto:13: error: test.v1.Features.x is a google.protobuf.FieldMask, which the REST bridge cannot carry. "
        "Fix: declare it as another type.\n"
    ) in done.output


def test_contract_and_model_problems_are_listed_together(protos: Path, trained: Path, tmp_path: Path) -> None:
    add_model(Repository(tmp_path / "models"), trained / "model.joblib", "iris", COLUMNS)
    edit(protos, "double petal_width", "double petal_wdth")
    edit(protos, "    (buf.validate.field).double.example = 0.2\n", "    (buf.validate.field).double.finite = true\n")
    done = check(protos, "--models", tmp_path / "models")
    assert done.exit_code == 1
    assert [line.split(": ")[1] for line in done.output.splitlines()[:-1]] == ["warning", "error"]
    assert done.output.endswith("\n1 error, 1 warning\n")


def test_json_format_lists_problems(protos: Path, tmp_path: Path) -> None:
    edit(protos, "(buf.validate.field).double.example = 0.8", "(buf.validate.field).double.example = 8")
    done = check(protos, "--models", tmp_path, "--format", "json")
    assert done.exit_code == 1
    assert json.loads(done.output) == {
        "errors": 1,
        "problems": [
            {
                "file": "iris/v1/iris.proto",
                "line": 96,
                "name": "iris.v1.Features.petal_length",
                "severity": "error",
                "reason": "the example 8.0 of iris.v1.Features.petal_length breaks the contract's own rule double.gte_lte: "
                "must be greater than or equal to 0 and less than or equal to 1",
                "fix": "change the example or the rule",
            }
        ],
    }


def test_github_format_prints_annotations(protos: Path, tmp_path: Path) -> None:
    edit(protos, "  // Probability that the flower is an Iris setosa.\n", "")
    edit(protos, "(buf.validate.field).double.example = 0.8", "(buf.validate.field).double.example = 8")
    done = check(protos, "--models", tmp_path, "--format", "github")
    assert done.exit_code == 1
    file = f"file={protos}/iris/v1/iris.proto"
    assert done.output.splitlines() == [
        f"::error {file},line=96,title=error::the example 8.0 of iris.v1.Features.petal_length breaks the contract's own rule "
        "double.gte_lte: must be greater than or equal to 0 and less than or equal to 1. Fix: change the example or the rule.",
        f"::warning {file},line=115,title=warning::iris.v1.Response.setosa_probability has no comment. "
        "Fix: add one above it: what it is, and in which unit.",
    ]


def test_compile_error_has_its_location(tmp_path: Path) -> None:
    root = write_contract(tmp_path, "message A { Missing x = 1; }")
    done = check(root)
    assert (done.exit_code, done.output) == (
        1,
        'test/v1/test.proto:7: error: "Missing" is not defined. '
        "Fix: correct this; everything else is checked once it compiles.\n1 error\n",
    )
