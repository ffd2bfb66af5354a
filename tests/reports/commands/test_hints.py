"""Every option, command and extra that an error names exists in each command that prints the error."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import typer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import PowerTransformer
from typer.testing import CliRunner

from foretell.cli import app
from foretell.testing.pytest_plugin import _in_pytest
from tests.support.processes import ROOT

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PACKAGES = ("foretell", "foretell_contract", "foretell_lifecycle", "grpc_server", "rest_bridge")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

REMOTE = {"models", "history", "promote", "canary", "shadow", "rollback", "retire"}
PRINTED_BY: dict[str, set[str]] = {
    "foretell/init": {"init"},
    "foretell/mlflow/follow_process": {"serve"},
    "foretell/mlflow/model_source": {"add"},
    "foretell/serve": {"serve"},
    "foretell/testing": {"test"},
    "foretell/versions/remote_control": REMOTE,
    "foretell/versions/target": REMOTE,
    "foretell_contract/source/compiler": {"add", "check", "init", "promote", "canary", "shadow", "serve", "test"},
    "grpc_server/changes/route_changes": {"promote", "canary", "shadow", "rollback"},
    "grpc_server/checks/acceleration": {"add", "init"},
    "grpc_server/checks/add_model": {"add", "init"},
    "grpc_server/checks/add_model --targets": {"add"},  # `init` takes the names from the contract or from --target.
    "grpc_server/checks/data_file": {"add", "init"},
    "grpc_server/checks/inspect_model": {"init"},
    "grpc_server/checks/probe_rows": {"add"},
    "grpc_server/checks/training_answers": {"add", "init"},
    "grpc_server/checks/training_columns": {"init"},
    "grpc_server/checks/training_data": {"add", "init"},
    "grpc_server/control_listener": {"serve"},
    "grpc_server/runtimes/formats/format_table": {"add", "init"},
    "grpc_server/runtimes/sklearn/boosted_wrapper": {"add", "init"},
    "grpc_server/server": {"serve"},
    "grpc_server/transport/tls": REMOTE,
    "rest_bridge/serving": {"serve"},
}
"""The commands that print the errors of a room or module, or those with one option. They must have each option that it names."""

NO_HINTS = {
    "foretell/cli",
    "foretell/options",
    "foretell/version_commands",
    "foretell/testing/pytest_plugin",
    "foretell/check/diff_sides",
}
"""Modules that declare options, or pass them to other programs."""

ELSEWHERE = re.compile(r"`(?:foretell|git|python)\b[^`]*`|\badd it with(?:out)? --\S+|--(?:descriptor_set|include)_\w+")
"""Options of a command that the text itself names: in backticks, or `add it with --classes`."""


HINT = re.compile(r"--[a-z]|`foretell |foretell\[")
"""What every hint holds: modules without it are not parsed."""


def texts(file: Path) -> Iterator[str]:
    """The strings of a module, formatted ones with `{}` for their values, without docstrings."""
    source = file.read_text()
    left: list[ast.AST] = [ast.parse(source)] if HINT.search(source) else []
    for node in left:
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            left += ast.iter_child_nodes(node)


ALL = [
    (file.relative_to(ROOT).with_suffix("").as_posix(), text)
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    for text in texts(file)
]
BARE = [
    (module, option)
    for module, text in ALL
    if module not in NO_HINTS
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", ELSEWHERE.sub("", text))
]
QUALIFIED = [command for _, text in ALL for command in re.findall(r"`foretell ([^`]+)`", text)]
QUALIFIED += [f"add {option}" for _, text in ALL for option in re.findall(r"\badd it with(?:out)? (--[a-z-]+)", text)]


def options(command: str) -> set[str]:
    return {name for parameter in COMMANDS[command].params for name in parameter.opts}


def test_hints_are_found() -> None:
    assert len(BARE) > 30
    assert len(QUALIFIED) > 10


@pytest.mark.parametrize(("module", "option"), sorted(set(BARE)))
def test_option_exists_where_the_error_is_printed(module: str, option: str) -> None:
    rooms = (room for room in PRINTED_BY if module == room or module.startswith(f"{room}/"))
    commands = PRINTED_BY.get(f"{module} {option}") or PRINTED_BY.get(next(rooms, ""))
    assert commands is not None, f"PRINTED_BY lacks {module}, whose text names {option}"
    assert {command for command in commands if option not in options(command)} == set()


@pytest.mark.parametrize("hint", sorted(set(QUALIFIED)))
def test_command_of_a_hint_exists(hint: str) -> None:
    name, *words = hint.split()
    assert name in COMMANDS
    assert {word for word in words if word.startswith("--")} <= options(name)


@pytest.mark.parametrize("extra", sorted({extra for _, text in ALL for extra in re.findall(r"foretell\[(\w+)\]", text)}))
def test_extra_exists(extra: str) -> None:
    assert extra in EXTRAS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pass --rest", "pass --foretell-rest"),
        ("pass --models to try", "pass --foretell-models to try"),
        ("--rest needs --target: pass", "--foretell-rest needs --foretell-target: pass"),
        ("in a--rest, --other", "in a--rest, --other"),
    ],
)
def test_pytest_names_its_own_options(text: str, expected: str) -> None:
    assert _in_pytest(text) == expected


ROWS = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 5.5], [4.0, 7.0]])
CLASSIFIER = LogisticRegression().fit(ROWS, ["lion", "lynx", "lynx", "lion"])
NUMBERS = LogisticRegression().fit(ROWS, [1, 2, 2, 1])
KIND = "pass --target kind, which holds its classes"
ANY_COLUMN = "pass --target with the column that it predicts"


@pytest.mark.parametrize(
    ("estimator", "lines", "hint"),
    [
        pytest.param(CLASSIFIER, ["kind,width,channel", "lion,1,5", "lynx,2,6"], KIND, id="first"),
        pytest.param(NUMBERS, ["width,kind,channel", "1.5,1,5", "2.5,2,6"], KIND, id="numbers"),
        pytest.param(NUMBERS, ["kind,width,channel", "1,1,5", "2,2,6"], ANY_COLUMN, id="two-fit"),
        pytest.param(LinearRegression().fit(ROWS, [1, 2, 3, 4]), ["sales,width,channel", "1,2,3"], ANY_COLUMN, id="regressor"),
        pytest.param(CLASSIFIER, ["a,b,c,kind", "1,2,3,lion"], "pass --columns a,b,c", id="two-more"),
        pytest.param(
            PowerTransformer(method="box-cox").fit(ROWS),
            [],
            "give it a row of its data: `foretell init --data FILE`, `foretell add --golden FILE`",
            id="sample-row",
        ),
    ],
)
def test_hint_of_init_is_right(tmp_path: Path, estimator: Any, lines: list[str], hint: str) -> None:
    data = tmp_path / "m.csv"
    data.write_text("\n".join([*lines, ""]))
    joblib.dump(estimator, tmp_path / "m.joblib")
    arguments = [str(tmp_path / "m.joblib"), "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")]
    done = CliRunner().invoke(app, ["init", *arguments, *(["--data", str(data)] if lines else [])])
    assert str(done.exception).endswith(f": {hint}"), done.output


def test_diff_has_no_option_for_its_folders(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["diff", str(tmp_path), str(ROOT / "protos")])
    assert str(done.exception) == f"cannot compare {tmp_path}: it holds no .proto file: name the folder above the contracts"
