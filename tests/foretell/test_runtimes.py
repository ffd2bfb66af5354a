"""`foretell.runtimes`, the public names for packages that bring a model format."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from foretell import runtimes
from tests.support.processes import ROOT

OURS = ("foretell", "foretell_contract", "foretell_lifecycle", "grpc_server", "rest_bridge")
PUBLIC = {"foretell.runtimes", "foretell.testing"}


def test_every_name_is_exported() -> None:
    assert runtimes.__all__ == sorted(name for name in vars(runtimes) if name.isidentifier() and name[0] != "_")


def test_examples_import_public_modules_only() -> None:
    imported = {name for file in (ROOT / "examples").rglob("*.py") for name in imported_modules(file)}
    ours = {name for name in imported if name.partition(".")[0] in OURS}
    assert ours
    assert ours <= PUBLIC


def test_docs_list_every_field_of_a_format() -> None:
    page = (ROOT / "docs/reference/formats.md").read_text()
    section = page.partition("Its value is a `Format`:")[2].partition("A `Runtime`")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [field.name for field in dataclasses.fields(runtimes.Format)]


def imported_modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
