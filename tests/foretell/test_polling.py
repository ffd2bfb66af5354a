"""gRPC looks at its environment when it is imported: what we ask of it must be there by then."""

import os
import subprocess
import sys

import pytest

ASKED = "import sys, os, {package}; assert 'grpc' not in sys.modules; print(os.environ['GRPC_EXPERIMENTS']); import grpc"


def run(package: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    command = [sys.executable, "-c", ASKED.format(package=package)]
    return subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["foretell", "grpc_server", "rest_bridge"])
def test_every_package_asks_before_grpc_is_imported(package: str) -> None:
    told = run(package)
    assert (told.returncode, told.stderr) == (0, "")  # gRPC complains of what it does not know.
    assert told.stdout == "-event_engine_client,-event_engine_listener\n"


def test_what_the_operator_asks_for_stands() -> None:
    assert run("grpc_server", GRPC_EXPERIMENTS="monitoring_experiment").stdout == "monitoring_experiment\n"
