"""Links and paths on every page lead to files that exist."""

import re

import pytest

from tests.support.doc_pages import TEXTS
from tests.support.processes import ROOT

PACKAGES = ("foretell", "foretell_contract", "foretell_lifecycle", "grpc_server", "rest_bridge")


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_files(page: str) -> None:
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", TEXTS[page]):
        assert ((ROOT / page).parent / link).exists(), link


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_headings(page: str) -> None:
    for link, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", TEXTS[page]):
        target = ((ROOT / page).parent / link if link else ROOT / page).read_text()
        headings = [re.sub(r"[^\w -]", "", line.lstrip("# ").lower()) for line in target.splitlines() if line.startswith("#")]
        assert anchor in {heading.replace(" ", "-") for heading in headings}, f"{link}#{anchor}"


def test_readme_links_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+|CONTRIBUTING.md)", TEXTS["README.md"]))
    assert linked | {"README.md"} == TEXTS.keys()


@pytest.mark.parametrize("page", TEXTS)
def test_paths_in_the_repository_exist(page: str) -> None:
    """Paths in backticks that start at a folder of the repository."""
    for path in re.findall(r"`((?:\w+/)+[\w.]*)`", TEXTS[page]):
        if (ROOT / path.partition("/")[0]).is_dir() and not path.startswith(("build/", "models/")):
            assert (ROOT / path).exists(), path


def test_table_of_places_names_files() -> None:
    table = TEXTS["docs/architecture.md"].partition("## I want to add")[2]
    paths = [path for path in re.findall(r"`([^`]+)`", table) if "/" in path]
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/decisions.md"])
def test_modules_without_a_package_exist(page: str) -> None:
    """Names such as `calls/batcher`, in a figure or in the text."""
    rooms = "|".join(folder.parent.name for name in PACKAGES for folder in (ROOT / name).glob("*/__init__.py"))
    named = set(re.findall(rf"(?<![\w/])((?:{rooms})/\w+(?:\.py)?)(?![\w/])", TEXTS[page]))
    for module in named:
        assert any((ROOT / name / module.removesuffix(".py")).with_suffix(".py").exists() for name in PACKAGES), module


def test_figure_names_every_room() -> None:
    figure = TEXTS["docs/architecture.md"].partition("```text\n")[2].partition("```")[0]
    rooms = {folder.parent.name for name in PACKAGES for folder in (ROOT / name).glob("*/__init__.py")}
    assert set(re.findall(r"(\w+)/", figure)) == rooms | set(PACKAGES)
