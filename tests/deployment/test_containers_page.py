"""docs/guides/containers.md: its settings, addresses, limits and commands match the Dockerfile and the compose file."""

import json
import re
from pathlib import Path

import pytest
import yaml

from foretell.settings import ServeSettings
from tests.deployment.test_compose_file import check_specification
from tests.support.deployment.images import SERVICES, container, services
from tests.support.iris import EXAMPLE
from tests.support.processes import ROOT

PAGE = (ROOT / "docs/guides/containers.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_settings_are_settings() -> None:
    named = set(re.findall(r"FORETELL_([A-Z_]+)", PAGE))
    assert {name.lower() for name in named} <= ServeSettings.model_fields.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_addresses_are_published(name: str) -> None:
    (port,) = services()[name]["ports"]
    assert port.rpartition(":")[0] in PAGE


def test_times_match_the_files() -> None:
    seconds = {container(name).stop_seconds for name in SERVICES}
    assert f"`FORETELL_DRAIN_SECONDS` ({ServeSettings().drain_seconds:g})" in PAGE
    assert [f"gives it\n{each:g} seconds" in PAGE for each in seconds] == [True]


def test_limits_match_the_files() -> None:
    memory = {name: services()[name]["deploy"]["resources"]["limits"]["memory"] for name in SERVICES}
    assert memory == {"grpc_server": "1g", "rest_bridge": "512m"}
    assert "1 GB (server) and 512 MB (bridge)" in PAGE
    assert all(container(name).tmpfs == {"/tmp": "size=16m"} for name in SERVICES)
    assert "`/tmp`, 16 MB" in PAGE


def test_override_follows_the_specification(tmp_path: Path) -> None:
    (override,) = blocks("yaml")
    file = tmp_path / "docker-compose.override.yml"
    file.write_text(override)
    checked = check_specification(file)
    assert checked.returncode == 0, checked.stdout
    assert yaml.safe_load(override)["services"].keys() == set(SERVICES)


def test_prediction_is_the_example() -> None:
    (body,) = re.findall(r"--json '(.*?)'", PAGE)
    assert json.loads(body) == EXAMPLE


def test_commands_name_services_and_targets() -> None:
    commands = [line.split() for block in blocks("sh") for line in block.splitlines() if line.startswith("docker ")]
    named = {word for command in commands for word in command if word in SERVICES}
    assert named == set(SERVICES)
