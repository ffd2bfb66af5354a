"""Code blocks of every page: commands and programs run, contracts compile, files are valid."""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from foretell.cli import app
from foretell.settings import ServeSettings
from foretell_contract.contract import load
from foretell_contract.rows.columns import leaves
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract
from tests.support.doc_pages import PAGES
from tests.support.markdown_blocks import Block, addresses, blocks, run
from tests.support.processes import ROOT, Foretell

BLOCKS = [block for page in PAGES for block in blocks(page)]
PROGRAMS = [block for block in BLOCKS if block.language in ("console", "python")]
CONTRACTS = [block for block in BLOCKS if block.language == "proto"]
BUILD = ("docs-plain", "docs-models", "docs-testing", "docs-versions", "docs-init", "docs-start", "flower", "stricter", "careless")
"""Folders that the blocks write below `build`."""


def shown(page: str, language: str) -> list[str]:
    """The blocks of a page in one language."""
    return [block.text for block in BLOCKS if (block.page, block.language) == (page, language)]


@pytest.fixture(scope="module")
def trained_in_the_checkout() -> Iterator[None]:
    """`build/iris` as `make serve` makes it; deletes what the blocks write."""
    if not (ROOT / "build/iris/golden.jsonl").exists():
        subprocess.run(["make", "--silent", "build/iris"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for name in BUILD:
        shutil.rmtree(ROOT / "build" / name, ignore_errors=True)
    yield
    for name in BUILD:
        shutil.rmtree(ROOT / "build" / name, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("block", PROGRAMS, ids=str)
@pytest.mark.usefixtures("trained_in_the_checkout")
def test_block_prints_what_it_shows(block: Block, running: Foretell) -> None:
    run(block, ROOT, addresses(running))


@pytest.mark.parametrize("block", CONTRACTS, ids=str)
def test_contract_is_iris_or_compiles(block: Block, tmp_path: Path) -> None:
    shown = re.split(r"^ *// \.\.\. .*\n", block.text.rstrip(), flags=re.MULTILINE)
    if not re.search(".*".join(map(re.escape, shown)), (ROOT / "protos/iris/v1/iris.proto").read_text(), re.DOTALL):
        loaded = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, RESPONSE, block.text))
        assert leaves(loaded.services[0].methods[0].features, loaded.rules, loaded.options)


def test_every_other_block_has_its_own_test() -> None:
    """Blocks in `sh` need a terminal or a container engine; other tests cover their parts."""
    assert {(block.page, block.language) for block in BLOCKS if block not in PROGRAMS + CONTRACTS} == {
        ("CONTRIBUTING.md", "sh"),
        ("README.md", "sh"),
        ("README.md", "text"),
        ("docs/architecture.md", "text"),
        ("docs/guides/containers.md", "sh"),
        ("docs/guides/containers.md", "yaml"),
        ("docs/guides/testing.md", "sh"),
        ("docs/reference/diff.md", "yaml"),
        ("docs/reference/formats.md", "toml"),
        ("docs/reference/processes.md", "sh"),
        ("docs/reference/settings.md", "toml"),
    }


def test_entry_point_is_that_of_the_example() -> None:
    (entry_point,) = shown("docs/reference/formats.md", "toml")
    assert entry_point in (ROOT / "examples/runtime/pyproject.toml").read_text()


def test_make_targets_in_contributing_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lines = [line for block in shown("CONTRIBUTING.md", "sh") for line in block.splitlines()]
    targets = {line.split()[1] for line in lines if line.startswith("make ")}
    assert {"test", "test-fast", "check"} <= targets
    assert all(f"\n{target}:" in makefile for target in targets)


def test_settings_file_is_valid() -> None:
    (file,) = shown("docs/reference/settings.md", "toml")
    assert ServeSettings(**tomllib.loads(file)).models == Path("/srv/models")


def test_workflow_runs_our_command() -> None:
    (text,) = shown("docs/reference/diff.md", "yaml")
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    *_, command = (step["run"] for step in job["steps"] if "run" in step)
    program, *arguments = shlex.split(command)
    assert program == "foretell"
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
    assert job["steps"][0]["with"]["fetch-depth"] == 0
