"""The command line: help, `add`, and starts that are refused in one line."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from foretell.cli import app
from foretell.serve import server_and_bridge
from grpc_server.checks.add_model import add_model
from grpc_server.store.repository import Repository
from tests.conftest import PROTOS
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract
from tests.support.iris import COLUMNS
from tests.support.processes import ANY_PORT, refused, refused_here


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert "serve" in shown.output
    assert "add" in shown.output


def test_help_imports_nothing_heavy() -> None:
    """Every `--help` waits for the imports."""
    heavy = ("sklearn", "numpy", "grpc", "fastapi", "pydantic", "google", "asyncio")
    script = f"import sys, foretell.cli; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_add_reports_version_and_format(trained: Path, tmp_path: Path) -> None:
    arguments = ["add", str(trained / "model.joblib"), "--name", "iris", "--models", str(tmp_path)]
    arguments += ["--columns", ", ".join(COLUMNS), "--golden", str(trained / "golden.jsonl")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert done.output.startswith("added iris version 1 as joblib: skops does not trust sklearn.calibration.")
    assert "its digest is recorded" in done.output
    manifest = json.loads((tmp_path / "iris/1/manifest.json").read_text())
    assert set(manifest["files"]) == {"contract.binpb", "model.joblib", "golden.jsonl"}


@pytest.mark.slow
def test_add_refuses_in_one_line(trained: Path, tmp_path: Path) -> None:
    code, stderr = refused("foretell", "add", str(trained / "model.joblib"), "--name", "iris", "--models", str(tmp_path))
    assert code == 2
    assert stderr == "foretell: model.joblib does not name its 4 columns (it was fitted on a plain array): pass --columns a,b,c\n"
    done = CliRunner().invoke(app, ["add", "x.joblib", "--name", "iris", "--golden", str(tmp_path / "nowhere")])
    assert str(done.exception) == f"cannot read {tmp_path / 'nowhere'}: No such file or directory"


class Project:
    """A folder with a valid contract and repository, for tests to break."""

    def __init__(self, root: Path, trained: Path) -> None:
        self.root, self.trained = root, trained
        self.protos, self.models = root / "protos", root / "models"
        self.settings: dict[str, str] = {}
        for file in ("iris/v1/iris.proto",):
            (self.protos / file).parent.mkdir(parents=True)
            (self.protos / file).write_text((PROTOS / file).read_text())
        self.add(COLUMNS)

    @property
    def contract(self) -> Path:
        return self.protos / "iris/v1/iris.proto"

    def add(self, columns: tuple[str, ...]) -> None:
        self._replace(self.trained / "model.joblib", columns)

    def _replace(self, file: Path, columns: tuple[str, ...]) -> None:
        """Make a model the only version, and so production."""
        shutil.rmtree(self.models, ignore_errors=True)
        add_model(Repository(self.models), file, "iris", columns)

    def edit(self, old: str, new: str) -> None:
        text = self.contract.read_text()
        assert old in text
        self.contract.write_text(text.replace(old, new))

    def two_classes(self) -> None:
        data = joblib.load(self.trained / "model.joblib")
        joblib.dump(LogisticRegression().fit([[0] * 4, [1] * 4], data.classes_[:2]), self.root / "two.joblib")
        self._replace(self.root / "two.joblib", COLUMNS)

    def three_columns(self) -> None:
        rows, species = [[0] * 3, [1] * 3, [2] * 3], ["setosa", "versicolor", "virginica"]
        joblib.dump(LogisticRegression().fit(rows, species), self.root / "three.joblib")
        self._replace(self.root / "three.joblib", COLUMNS[:3])


def break_artifact(project: Project) -> None:
    path = project.models / "iris/1/model.joblib"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")


def picky_example(project: Project) -> None:
    """The example is inside the bounds, but the answer to it breaks a rule of the response."""
    line = "double setosa_probability = 1 [\n    (buf.validate.field).double.gte = 0"
    project.edit(line, line + ".5")
    project.edit("(buf.validate.field).double.example = 0.01", "(buf.validate.field).double.example = 0.51")


IN_A_PROCESS = [
    pytest.param(
        lambda s: s.settings.update(drain_seconds="soon"),
        "settings: drain_seconds: Input should be a valid number",
        id="setting",
    ),
    pytest.param(lambda s: s.settings.update(drain_seconds="nan"), "settings: drain_seconds: Input", id="nan-setting"),
    pytest.param(lambda s: s.settings.update(max_message_bytes="-1"), "settings: max_message_bytes: Input", id="bound"),
    pytest.param(
        lambda s: s.settings.update(grpc_adress=ANY_PORT),
        'the variable FORETELL_GRPC_ADRESS is not a setting; did you mean "grpc_address"',
        id="misspelt-setting",
    ),
    pytest.param(
        lambda s: s.edit("message Features {", "message Features"),
        r"the contract does not compile: \S+iris\.proto:\d+",
        id="syntax",
    ),
    pytest.param(Project.two_classes, "virginica_probability matches no class of the model", id="classes"),
]
IN_THIS_PROCESS = [
    pytest.param(lambda s: s.contract.unlink(), "no contract", id="no-contract"),
    pytest.param(lambda s: (s.models / "iris").rename(s.root / "gone"), "no model 'iris' in .*: add one with", id="no-model"),
    pytest.param(lambda s: (s.models / "iris/1/model.joblib").unlink(), "model.joblib cannot be read", id="no-artifact"),
    pytest.param(break_artifact, r"model.joblib is not as it was added \(its SHA-256 differs\)", id="altered"),
    pytest.param(
        lambda s: s.add(("sepal_length", "sepal_width", "petal_length", "petal_widht")),
        'Features.petal_width matches no column of the model; did you mean "petal_widht"?',
        id="column-name",
    ),
    pytest.param(Project.three_columns, "petal_width matches no column of the model", id="column-count"),
    pytest.param(
        lambda s: s.edit("double.example = 0.2", "double.example = 1.2"),
        "the example 1.2 of iris.v1.Features.sepal_length breaks the contract's own rule double.gte_lte",
        id="example",
    ),
    pytest.param(
        picky_example,
        "the answer of model 'iris' version 1 to the example of iris.v1.Features breaks setosa_probability",
        id="model-example",
    ),
    pytest.param(
        lambda s: s.edit('post: "/predict"\n', 'post: "/docs"\n'),
        "the REST path /docs .* is one of the bridge's own pages",
        id="path",
    ),
    pytest.param(lambda s: s.settings.update(http_address="é..x:0"), "cannot listen on é..x:0: no such host", id="host"),
    pytest.param(lambda s: s.settings.update(grpc_address="localhost"), "'localhost' is no address: write HOST:PORT", id="address"),
    pytest.param(lambda s: s.settings.update(http_address="127.0.0.1:99999"), "is no address", id="port-number"),
    pytest.param(lambda s: s.settings.update(grpc_address="192.0.2.1:0"), "cannot listen on 192.0.2.1:0", id="foreign-address"),
]


def refusal(project: Project, breakage: Callable[[Project], object], start: Callable[..., tuple[int, str]]) -> str:
    """The one-line error of a start after `breakage`."""
    breakage(project)
    settings = {"protos": str(project.protos), "models": str(project.models), "grpc_address": ANY_PORT, "http_address": ANY_PORT}
    code, stderr = start(**settings | project.settings)
    assert code == 2, stderr
    assert len(stderr.splitlines()) == 1, stderr
    return stderr


@pytest.mark.slow
@pytest.mark.parametrize(("breakage", "says"), IN_A_PROCESS)
def test_start_is_refused_in_one_line(tmp_path: Path, trained: Path, breakage: Callable[[Project], object], says: str) -> None:
    stderr = refusal(Project(tmp_path, trained), breakage, partial(refused, "foretell", "serve"))
    assert re.match(f"foretell: .*{says}", stderr), stderr


@pytest.mark.slow
@pytest.mark.parametrize(("breakage", "says"), IN_THIS_PROCESS)
def test_serve_refuses_in_one_line(tmp_path: Path, trained: Path, breakage: Callable[[Project], object], says: str) -> None:
    stderr = refusal(Project(tmp_path, trained), breakage, partial(refused_here, server_and_bridge.serve))
    assert re.match(f"foretell: .*{says}", stderr), stderr


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["grpc_address", "http_address"])
def test_taken_port_is_refused_with_fix(models: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = {"protos": str(PROTOS), "models": str(models), "grpc_address": ANY_PORT, "http_address": ANY_PORT}
        code, stderr = refused("foretell", "serve", **settings | {setting: address})
    flag = setting.replace("_", "-")
    assert code == 2
    assert stderr == f"foretell: cannot listen on {address}: Address already in use; free the port or choose another --{flag}\n"


@pytest.mark.slow
def test_settings_file_refuses_unknown_names(tmp_path: Path, models: Path) -> None:
    file = tmp_path / "foretell.toml"
    file.write_text(f'models = "{models}"\nprotos = "{PROTOS}"\nhttp_adress = "127.0.0.1:0"\n')
    code, stderr = refused("foretell", "serve", config=str(file))
    assert code == 2
    assert stderr == "foretell: settings: http_adress: Extra inputs are not permitted\n"
    file.write_text("models = \n")
    code, stderr = refused("foretell", "serve", config=str(file))
    assert code == 2
    assert stderr.startswith(f"foretell: {file} is not TOML: ")
    code, stderr = refused("foretell", "serve", config=str(tmp_path / "nowhere.toml"))
    assert (code, stderr) == (2, f"foretell: FORETELL_CONFIG names {tmp_path / 'nowhere.toml'}, which is not a file\n")


@pytest.mark.slow
def test_contract_without_json_form_is_refused(tmp_path: Path, models: Path) -> None:
    protos = write_contract(
        tmp_path, 'import "google/protobuf/field_mask.proto";', SERVICE, features("google.protobuf.FieldMask x"), RESPONSE
    )
    code, stderr = refused("rest_bridge", protos=str(protos), http_address=ANY_PORT)
    assert code == 2
    reason = "test.v1.Features.x is a google.protobuf.FieldMask, which the REST bridge cannot carry"
    assert stderr == f"foretell: {reason}; declare it as another type\n"
