"""The dependency group `bridge`: exactly what the bridge imports, without scikit-learn, pinned."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BRIDGE = set(PROJECT["dependency-groups"]["bridge"])
PACKAGES = ("foretell_contract", "foretell_lifecycle", "rest_bridge")
MODEL_LIBRARIES = {"joblib", "pandas", "scikit-learn", "scipy", "skops"}
LOADED_BY_NAME = {
    "fastapi-standalone-docs": "rest_bridge/openapi/docs_pages.py serves its files",
    "grpcio-tools": "foretell_contract/source/compiler.py starts it",
}
"""Distributions that the bridge uses without an import, and the place."""


def test_group_is_what_the_bridge_imports() -> None:
    imported = {distribution for name in imported_modules() if (distribution := distribution_of(name))}
    assert imported | LOADED_BY_NAME.keys() == BRIDGE


def test_group_is_part_of_the_dependencies() -> None:
    assert {name_of(requirement) for requirement in PROJECT["project"]["dependencies"]} > BRIDGE | MODEL_LIBRARIES - {
        "pandas",
        "scipy",
    }


@pytest.mark.slow
def test_bridge_image_has_no_model_library(bridge_venv: Path) -> None:
    assert not installed(bridge_venv).keys() & (MODEL_LIBRARIES | {"pip"})


@pytest.mark.slow
def test_bridge_image_is_pinned(bridge_venv: Path) -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    pinned = {normal(name): version for name, version in pins.items()}
    assert installed(bridge_venv).items() <= (pinned | {"foretell": PROJECT["project"]["version"]}).items()


def installed(venv: Path) -> dict[str, str]:
    """Distributions in an environment, with their versions."""
    program = "import json, importlib.metadata as m; print(json.dumps([[d.name, d.version] for d in m.distributions()]))"
    done = subprocess.run([venv / "bin/python", "-I", "-c", program], capture_output=True, text=True, check=True)
    return {normal(name): version for name, version in json.loads(done.stdout)}


def imported_modules() -> Iterator[str]:
    """Every module that the bridge's packages import, and every name they import from one: it may be a module too."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield node.module
                    yield from (f"{node.module}.{alias.name}" for alias in node.names)


def distribution_of(module: str) -> str | None:
    """The distribution of a module's file; None for the standard library, our packages, and names that are not modules."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return None if spec is None or spec.origin is None else owners().get(spec.origin)


@cache
def owners() -> dict[str, str]:
    """Absolute path of each file installed here to the name of its distribution."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, root = normal(distribution.name), str(distribution.locate_file(""))
        files = (line.partition(",")[0] for line in (distribution.read_text("RECORD") or "").splitlines())
        found |= {os.path.join(root, file): name for file in files if file.endswith((".py", ".so"))}
    return found


def name_of(requirement: str) -> str:
    return normal(re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0])


def normal(name: str) -> str:
    """A distribution's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
