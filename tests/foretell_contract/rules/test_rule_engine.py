"""The check of protovalidate at the start, with packages of that name that do not work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foretell_contract.rules.rule_engine import check_rule_engine

COMMANDS = {
    "serve": ("foretell", "serve"),
    "check": ("foretell", "check"),
    "server": ("grpc_server",),
    "bridge": ("rest_bridge", "--target", "127.0.0.1:1"),
}
NO_IMPORT = "from protobuf.wkt import Gone\n"
NO_RULES = """\
class CompilationError(Exception): ...
class EvaluationError(Exception): ...
class Violation: ...
class Validator:
    def collect_violations(self, message, *, fail_fast=False):
        return []
"""


def refusal(folder: Path, source: str, command: tuple[str, ...]) -> str:
    """What a command prints that finds `source` as protovalidate."""
    (folder / "protovalidate.py").write_text(source)
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    return done.stderr


def test_installed_packages_pass() -> None:
    check_rule_engine()


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_failing_import_is_refused_in_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    printed = refusal(tmp_path, NO_IMPORT, command)
    assert printed.startswith("foretell: protovalidate 2.")
    assert printed.endswith("pip install -U protovalidate protobuf-py\n")
    assert printed.count("\n") == 1
    assert "cannot import name 'Gone'" in printed


@pytest.mark.slow
def test_engine_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    printed = refusal(tmp_path, NO_RULES, COMMANDS["check"])
    assert "0.5 breaks [] and 1.5 breaks [], where the bound is 1" in printed
