"""Dockerfile: hadolint, the build context, the commands and labels of both images."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.deployment.bridge_venv import CONTEXT
from tests.support.deployment.images import DOCKERFILE, SERVICES, environment, labels, stage
from tests.support.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    """Lint a Dockerfile with every rule on; comments in the file cannot turn one off."""
    strict = ["--disable-ignore-pragma", "--failure-threshold", "style", "--no-color"]
    command = [str(Path(sys.executable).parent / "hadolint"), *strict, str(file)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


def test_hadolint_passes() -> None:
    linted = hadolint(DOCKERFILE)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        pytest.param("pip==26.3", "pip", "DL3013", id="unpinned"),
        pytest.param('CMD ["python", "-m", "rest_bridge"]', "CMD python -m rest_bridge", "DL3025", id="shell-form"),
        pytest.param("WORKDIR /srv", "WORKDIR srv", "DL3000", id="relative"),
    ],
)
def test_hadolint_finds_mistakes(tmp_path: Path, right: str, wrong: str, rule: str) -> None:
    file = tmp_path / "Dockerfile"
    assert right in DOCKERFILE.read_text()
    file.write_text(DOCKERFILE.read_text().replace(right, wrong))
    assert rule in hadolint(file).stdout


@pytest.mark.parametrize("name", SERVICES)
def test_image_runs_its_module_unprivileged(name: str) -> None:
    instructions = stage(name)
    assert [json.loads(text) for word, text in instructions if word == "CMD"] == [["python", "-m", name]]
    assert [text for word, text in instructions if word == "USER"] == ["10001:10001"]
    assert ("STOPSIGNAL", "SIGTERM") in instructions
    assert not [text for word, text in instructions if word in {"RUN", "ADD", "ENTRYPOINT"}]


@pytest.mark.parametrize("name", SERVICES)
def test_image_writes_no_bytecode(name: str) -> None:
    assert environment(stage(name))["PYTHONDONTWRITEBYTECODE"] == "1"


@pytest.mark.parametrize("name", SERVICES)
def test_image_copies_its_own_environment(name: str) -> None:
    copied = [text for word, text in stage(name) if word == "COPY"]
    assert copied == ["protos protos", f"--from={name}_build /opt/foretell /opt/foretell"]


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_labelled_with_version_and_licence(name: str) -> None:
    assert labels(name)["org.opencontainers.image.version"] == PROJECT["project"]["version"]
    assert labels(name)["org.opencontainers.image.licenses"] == PROJECT["project"]["license"]


def test_base_is_the_oldest_python_we_support() -> None:
    version = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f"\nARG BASE_IMAGE=python:{version}-slim-bookworm\n" in DOCKERFILE.read_text()


def test_build_context_is_the_packages() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert lines[-1] == "**/__pycache__"
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(CONTEXT) == {
        *wheel["packages"],
        *wheel["force-include"],
        "pyproject.toml",
        "constraints.txt",
        PROJECT["project"]["readme"],
        *PROJECT["project"]["license-files"],
    }
