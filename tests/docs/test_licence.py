"""The licence: its full text in both projects, named in their metadata."""

import tomllib
from pathlib import Path

import pytest

from tests.support.processes import ROOT


@pytest.mark.parametrize("folder", [ROOT, ROOT / "clients/python"], ids=["foretell", "client"])
def test_project_carries_its_licence(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    assert (folder / "LICENSE").read_bytes() == (ROOT / "protos/google/LICENSE").read_bytes()
