"""GRPC_EXPERIMENTS of the processes that serve, when they import gRPC and afterwards."""

import os
import subprocess
import sys

import pytest

from foretell_lifecycle.grpc_polling import NO_EVENT_ENGINE

PROGRAMS = ["foretell.serve.server_and_bridge", "foretell.serve.control_bridge", "grpc_server.__main__", "rest_bridge.__main__"]

PRINT_VARIABLE = """
import importlib, os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_EXPERIMENTS"))
sys.meta_path.insert(0, Finder())
importlib.import_module(sys.argv[1])
import grpc
print(os.environ.get("GRPC_EXPERIMENTS"))
"""
"""Prints the variable when gRPC is imported, and afterwards."""


def variable(program: str, **environment: str) -> tuple[list[str], str]:
    """The lines on stdout, and stderr."""
    inherited = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    command = [sys.executable, "-c", PRINT_VARIABLE, program]
    done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_processes_import_grpc_without_event_engine(program: str) -> None:
    assert variable(program) == ([NO_EVENT_ENGINE, "None"], "")  # gRPC logs experiments that it does not know.


def test_variable_of_the_operator_stays() -> None:
    assert variable("grpc_server.__main__", GRPC_EXPERIMENTS="monitoring_experiment")[0] == ["monitoring_experiment"] * 2
