"""The pages of the documentation, their texts and their tables."""

from tests.support.processes import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
"""Path in the repository to text."""


def section(page: str, heading: str) -> str:
    """The text below a heading of the second level, up to the next one."""
    return TEXTS[page].partition(f"## {heading}\n")[2].partition("\n## ")[0]


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, without their first row."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
