"""Every page is true: its blocks run, its links lead somewhere, its tables are the code's own."""

import re
import shlex
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from typer.testing import CliRunner

from foretell.cli import app
from foretell.settings import ServeSettings
from foretell_contract.contract import load
from foretell_contract.rows.columns import leaves
from foretell_lifecycle.settings import ProcessSettings
from grpc_server.calls.refusal import Refusal
from grpc_server.settings import ServerSettings
from rest_bridge.openapi.refusal_responses import CHANGE_REFUSALS, REFUSALS
from rest_bridge.settings import BridgeSettings
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract
from tests.support.markdown_blocks import Block, addresses, blocks, run
from tests.support.processes import ROOT, Foretell

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = [block for page in PAGES for block in blocks(page) if block.language in ("console", "python")]
SHOWN = [block for page in PAGES for block in blocks(page) if block.language == "proto"]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}


@pytest.fixture(scope="module")
def trained_in_the_checkout() -> Iterator[None]:
    """`build/iris`, as `make serve` leaves it; what the pages make is removed again."""
    if not (ROOT / "build/iris/golden.jsonl").exists():
        subprocess.run(["make", "--silent", "build/iris"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    made = [ROOT / "build" / folder for folder in ("docs-models", "docs-testing", "docs-versions", "docs-init", "flower")]
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)
    yield
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("block", RUN, ids=str)
@pytest.mark.usefixtures("trained_in_the_checkout")
def test_a_block_does_what_the_page_shows(block: Block, running: Foretell) -> None:
    run(block, ROOT, addresses(running))


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_what_is_shown_of_a_contract_is_in_that_of_iris_or_is_one(block: Block, tmp_path: Path) -> None:
    if block.text.rstrip() not in (ROOT / "protos/iris/v1/iris.proto").read_text():
        loaded = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, RESPONSE, block.text))
        assert leaves(loaded.services[0].methods[0].features, loaded.rules, loaded.options)


def test_no_block_is_of_a_kind_that_nobody_runs() -> None:
    """`sh` blocks need a terminal or a container engine; their parts are run by tests of their own."""
    others = {(block.page, block.language) for page in PAGES for block in blocks(page)} - {
        (b.page, b.language) for b in RUN + SHOWN
    }
    assert others == {
        ("README.md", "sh"),
        ("README.md", "text"),
        ("docs/architecture.md", "text"),
        ("docs/guides/containers.md", "sh"),
        ("docs/guides/containers.md", "yaml"),
        ("docs/reference/diff.md", "yaml"),
        ("docs/reference/formats.md", "toml"),
        ("docs/reference/settings.md", "toml"),
        ("docs/guides/testing.md", "sh"),
    }


def test_the_entry_point_on_the_page_is_that_of_the_example() -> None:
    (shown,) = [block.text for block in blocks(ROOT / "docs/reference/formats.md") if block.language == "toml"]
    assert shown in (ROOT / "examples/runtime/pyproject.toml").read_text()


def test_make_serve_does_what_the_readme_says() -> None:
    assert [block.text for block in blocks(ROOT / "README.md") if block.language == "sh"] == ["make serve\n"]
    command = ["make", "--silent", "serve", "ARGS=--grpc-address 127.0.0.1:0 --http-address 127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as printed:
        assert any("Foretell is ready." in line for line in printed)
        supervisor = int(subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout)
        subprocess.run(["kill", f"-{signal.SIGTERM.name.removeprefix('SIG')}", str(supervisor)], check=True)
    assert process.wait(30) == 0


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_files(page: str) -> None:
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", TEXTS[page]):
        assert ((ROOT / page).parent / link).exists(), link


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", TEXTS["README.md"]))
    assert linked == {name for name in TEXTS if name.startswith("docs/")}


def test_the_paths_that_the_architecture_names_exist() -> None:
    table = TEXTS["docs/architecture.md"].partition("## I want to add")[2].partition("\n## ")[0]
    paths = [path for path in re.findall(r"`([^`]+)`", table) if "/" in path]
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / path).exists(), path


def rows(page: str, heading: str) -> list[list[str]]:
    """The table below a heading, without its head."""
    section = TEXTS[page].partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def default(field: FieldInfo) -> str:
    """As a settings file would have it."""
    if field.default is None:
        return ""
    return f"`{str(field.default).lower()}`" if isinstance(field.default, bool) else f"`{field.default}`"


@pytest.mark.parametrize(
    ("heading", "settings", "without"),
    [
        ("What `foretell serve` runs", ServeSettings, (ServerSettings, BridgeSettings)),
        ("Every process", ProcessSettings, ()),
        ("The gRPC server", ServerSettings, (ProcessSettings,)),
        ("The REST bridge", BridgeSettings, (ProcessSettings,)),
    ],
)
def test_every_setting_is_documented_with_its_own_words(
    heading: str, settings: type[BaseSettings], without: tuple[type[BaseSettings], ...]
) -> None:
    others = {name for other in without for name in other.model_fields}
    own = {name: field for name, field in settings.model_fields.items() if name not in others}
    assert all(field.description for field in own.values())
    expected = [[f"`{name}`", default(field), " ".join(str(field.description).split())] for name, field in own.items()]
    assert rows("docs/reference/settings.md", heading) == expected


def test_the_settings_file_on_the_page_is_taken() -> None:
    (shown,) = [block.text for block in blocks(ROOT / "docs/reference/settings.md") if block.language == "toml"]
    assert ServeSettings(**tomllib.loads(shown)).models == Path("/srv/models")


def test_the_workflow_on_the_page_is_one_and_runs_our_command() -> None:
    (shown,) = [block.text for block in blocks(ROOT / "docs/reference/diff.md") if block.language == "yaml"]
    workflow = yaml.safe_load(shown)
    (job,) = workflow["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    *_, command = (step["run"] for step in job["steps"] if "run" in step)
    program, *arguments = shlex.split(command)
    assert program == "foretell"
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
    assert job["steps"][0]["with"]["fetch-depth"] == 0


def test_every_reason_to_refuse_a_call_is_documented() -> None:
    kinds = Refusal.__subclasses__()
    documented = {(status.strip("`"), reason.strip("`")) for status, reason, *_ in rows("docs/reference/errors.md", "Over gRPC")}
    assert documented == {(kind.code.name, kind.reason) for kind in kinds}


def test_every_http_status_is_documented() -> None:
    statuses = {int(row[0]) for row in rows("docs/reference/errors.md", "Over REST") if row[0].isdecimal()}
    assert statuses == REFUSALS.keys() | CHANGE_REFUSALS
