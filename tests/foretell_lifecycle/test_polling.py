"""gRPC looks at its environment when it is imported: what a process that serves asks of it must be there by then."""

import os
import subprocess
import sys

import pytest

PROGRAMS = ["foretell.serve.server_and_bridge", "foretell.serve.control_bridge", "grpc_server.__main__", "rest_bridge.__main__"]

SEEN = """
import importlib, os, sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_EXPERIMENTS"))
sys.meta_path.insert(0, Look())
importlib.import_module(sys.argv[1])
print(os.environ.get("GRPC_EXPERIMENTS"))
"""
"""Tells what gRPC finds when it is imported, and what others find later."""


def seen(program: str, **environment: str) -> tuple[list[str], str]:
    inherited = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    command = [sys.executable, "-c", SEEN, program]
    told = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    return told.stdout.splitlines(), told.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_serves_asks_before_grpc_is_imported_and_leaves_nothing_behind(program: str) -> None:
    assert seen(program) == (
        ["-event_engine_client,-event_engine_listener", "None"],
        "",
    )  # gRPC would complain of what it does not know.


def test_what_the_operator_asks_for_stands() -> None:
    assert seen("grpc_server.__main__", GRPC_EXPERIMENTS="monitoring_experiment")[0] == ["monitoring_experiment"] * 2
