"""An option that is given twice: lists of names add up, every other option is refused; none keeps only the last silently."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from foretell.cli import app
from foretell.options import names
from foretell_contract.errors import SetupError

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = [
    pytest.param(name, option, id=f"{name}{option.opts[0]}")
    for name, command in COMMANDS.items()
    for option in command.params
    if option.param_type_name == "option" and not option.is_flag
]
LISTS = {("init", "--target"), ("serve", "--target"), ("init", "--labels"), ("add", "--targets"), ("serve", "--follow")}
LISTS |= {(command, option) for command in ("init", "add") for option in ("--columns", "--classes")}


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_repeated_option_counts_or_is_refused(command: str, option: Any) -> None:
    name = option.opts[0]
    assert option.multiple == ((command, name) in LISTS)
    if not option.multiple:
        done = CliRunner().invoke(app, [command, name, "1", name, "2"])
        assert isinstance(done.exception, SetupError), done.output
        assert str(done.exception) == f"{name} is given twice: give it once"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ()),
        (["a"], ("a",)),
        (["a, b", "c"], ("a", "b", "c")),
        (['"weight, kg",b', 'say "hi"', '5" pipe'], ("weight, kg", "b", 'say "hi"', '5" pipe')),
        (["", " , a"], ("a",)),
    ],
)
def test_names_add_up(given: list[str] | None, expected: tuple[str, ...]) -> None:
    assert names(given) == expected


def test_repeated_flag_is_harmless(tmp_path: Any) -> None:
    assert CliRunner().invoke(app, ["models", "--json", "--json", "--models", str(tmp_path)]).exit_code == 0
