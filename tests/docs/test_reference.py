"""Tables of the reference are the code's own: settings, refusals, statuses, commands."""

import re
from typing import Any

import pytest
import typer
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from foretell import version_commands
from foretell.cli import app
from foretell.settings import ServeSettings
from foretell_lifecycle.settings import ProcessSettings
from grpc_server.calls.refusal import Refusal
from grpc_server.settings import ServerSettings
from rest_bridge.openapi.refusals import CHANGE_REFUSALS, REFUSALS
from rest_bridge.settings import BridgeSettings
from tests.support.doc_pages import TEXTS, rows
from tests.support.processes import ROOT

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
ABOUT_VERSIONS = typer.main.get_command(version_commands.app).commands.keys()  # type: ignore[attr-defined]
SETTINGS, ERRORS, CLI = (f"docs/reference/{name}.md" for name in ("settings", "errors", "commands"))


def default(field: FieldInfo) -> str:
    """The default of a setting as a settings file has it."""
    if field.default is None:
        return ""
    return f"`{str(field.default).lower()}`" if isinstance(field.default, bool) else f"`{field.default}`"


@pytest.mark.parametrize(
    ("heading", "settings", "inherited"),
    [
        ("What `foretell serve` runs", ServeSettings, (ServerSettings, BridgeSettings)),
        ("Every process", ProcessSettings, ()),
        ("The gRPC server", ServerSettings, (ProcessSettings,)),
        ("The REST bridge", BridgeSettings, (ProcessSettings,)),
    ],
)
def test_settings_have_their_own_descriptions(
    heading: str, settings: type[BaseSettings], inherited: tuple[type[BaseSettings], ...]
) -> None:
    others = {name for other in inherited for name in other.model_fields}
    own = {name: field for name, field in settings.model_fields.items() if name not in others}
    assert all(field.description for field in own.values())
    expected = [[f"`{name}`", default(field), " ".join(str(field.description).split())] for name, field in own.items()]
    assert rows(SETTINGS, heading) == expected


def test_refusals_have_status_and_reason() -> None:
    documented = {(status.strip("`"), reason.strip("`")) for status, reason, *_ in rows(ERRORS, "Over gRPC")}
    assert documented == {(kind.code.name, kind.reason) for kind in Refusal.__subclasses__()}


def test_http_statuses_are_complete() -> None:
    statuses = {int(row[0]) for row in rows(ERRORS, "Over REST") if row[0].isdecimal()}
    assert statuses == REFUSALS.keys() | CHANGE_REFUSALS


def documented(heading: str) -> set[str]:
    """Arguments and flags in the first cells of the table below a heading, without their values."""
    cells = " ".join(row[0] for row in rows(CLI, heading))
    return {words.split()[0] for words in re.findall(r"`([^`]+)`", cells)}


def names(parameter: Any) -> set[str]:
    """The names of a flag, or of an argument in capitals."""
    return set(parameter.opts) if parameter.param_type_name == "option" else {parameter.metavar.strip("[]")}


def test_commands_are_complete() -> None:
    assert set(re.findall(r"^## foretell ([\w-]+)$", TEXTS[CLI], re.MULTILINE)) == COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_its_flags(command: str) -> None:
    actual = {name for parameter in COMMANDS[command].params for name in names(parameter)}
    shared = documented("Commands about versions") if command in ABOUT_VERSIONS else set()
    assert documented(f"foretell {command}") == actual - shared


@pytest.mark.parametrize(
    ("protocol", "claim"), [("REST", r"([\d,]+) times a second over REST"), ("gRPC", r"([\d,]+) times over gRPC")]
)
def test_readme_has_the_measured_speed(protocol: str, claim: str) -> None:
    cases = (ROOT / "benchmarks/RESULTS.md").read_text().partition("### 1 row a request, 64 callers\n")[2]
    measured = re.search(rf"^\| foretell(?: serve,)? {protocol} \| ([\d,]+) \(", cases, re.MULTILINE)
    claimed = re.search(claim, TEXTS["README.md"])
    assert measured
    assert claimed
    figures = [int(found[1].replace(",", "")) for found in (claimed, measured)]
    assert figures[0] == pytest.approx(figures[1], rel=0.1)
