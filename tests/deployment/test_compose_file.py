"""docker-compose.yml: valid by the Compose Specification, hardened, and consistent with the images and the settings."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from foretell_lifecycle.settings import ProcessSettings
from grpc_server.settings import ServerSettings
from rest_bridge.settings import BridgeSettings
from tests.support.deployment.images import COMPOSE, SERVICES, container, environment, image_healthcheck, services, stage

SETTINGS: dict[str, type[ProcessSettings]] = {"grpc_server": ServerSettings, "rest_bridge": BridgeSettings}


def check_specification(file: Path) -> subprocess.CompletedProcess[str]:
    """Check a file against the Compose Specification's JSON schema, which check-jsonschema ships."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_file_follows_the_compose_specification() -> None:
    checked = check_specification(COMPOSE)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("read_only: true", "readonly: true", id="misspelt"),
        pytest.param("condition: service_healthy", "condition: healthy", id="no-such-condition"),
        pytest.param("retries: 3", "retries: [3]", id="wrong-type"),
    ],
)
def test_specification_refuses_mistakes(tmp_path: Path, right: str, wrong: str) -> None:
    file = tmp_path / "docker-compose.yml"
    assert right in COMPOSE.read_text()
    file.write_text(COMPOSE.read_text().replace(right, wrong))
    assert check_specification(file).returncode == 1


def test_services_are_the_server_and_the_bridge() -> None:
    assert set(services()) == set(SERVICES)


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    """Each service in turn."""
    return str(request.param)


@pytest.fixture
def service(name: str) -> dict[str, Any]:
    """Its entry in the compose file."""
    entry: dict[str, Any] = services()[name]
    return entry


def test_container_drops_all_rights(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(part.isdecimal() and int(part) > 0 for part in service["user"].split(":"))
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert not service.keys() & {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"}


def test_user_is_the_one_of_the_image(name: str, service: dict[str, Any]) -> None:
    assert ("USER", service["user"]) in stage(name)


def test_folders_are_read_only_and_must_exist(service: dict[str, Any]) -> None:
    for volume in service["volumes"]:
        assert volume["read_only"] is True
        assert volume["bind"]["create_host_path"] is False


def test_mounts_match_the_settings(name: str, service: dict[str, Any]) -> None:
    described = container(name)
    folders = {
        described.environment[f"FORETELL_{setting.upper()}"]
        for setting in ("protos", "models")
        if setting in SETTINGS[name].model_fields
    }
    assert described.mounts.keys() == folders


def test_ports_are_published_on_loopback_only(name: str, service: dict[str, Any]) -> None:
    host, port = (
        container(name).environment["FORETELL_GRPC_ADDRESS" if name == "grpc_server" else "FORETELL_HTTP_ADDRESS"].split(":")
    )
    assert host == "0.0.0.0"
    assert ("EXPOSE", port) in stage(name)
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_variables_are_settings(name: str) -> None:
    ours = {variable for variable in container(name).environment if variable.startswith("FORETELL_")}
    assert ours <= {f"FORETELL_{field.upper()}" for field in SETTINGS[name].model_fields}


def test_health_check_equals_the_image(name: str) -> None:
    assert container(name).healthcheck == image_healthcheck(name)


def test_stop_period_exceeds_the_drain(name: str) -> None:
    described = container(name)
    drain = float(described.environment.get("FORETELL_DRAIN_SECONDS", SETTINGS[name]().drain_seconds))
    assert described.stop_seconds >= drain + 5
    assert described.stop_signal == "SIGTERM"


def test_bridge_waits_for_a_healthy_server() -> None:
    assert services()["rest_bridge"]["depends_on"] == {"grpc_server": {"condition": "service_healthy"}}
    port = environment(stage("grpc_server"))["FORETELL_GRPC_ADDRESS"].split(":")[1]
    assert container("rest_bridge").environment["FORETELL_TARGET"] == f"grpc_server:{port}"
    assert services()["rest_bridge"]["networks"] == services()["grpc_server"]["networks"]


def test_threads_fit_the_cpu_limit() -> None:
    server = services()["grpc_server"]
    assert float(server["environment"]["OMP_NUM_THREADS"]) <= float(server["deploy"]["resources"]["limits"]["cpus"])
