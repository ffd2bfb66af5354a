"""Runs `foretell test` in this process: its output, its JSON report, or the failures of one check."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell.testing import CheckSuite, SuiteOptions
from tests.support.processes import Foretell


def run_test_command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["test", *map(str, arguments)])


def json_report(*arguments: str | Path) -> dict[str, Any]:
    """The checks of the JSON report by id."""
    done = run_test_command(*arguments, "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == (1 if report["failed"] else 0)
    return {check["id"]: check for check in report["checks"]}


def failures(name: str, options: SuiteOptions) -> list[str]:
    """The failures of the first check whose id is a method's name, a slash and `name`."""
    suite = CheckSuite(options)
    check = next(check for check in suite.checks() if check.id.partition("/")[2] == name)
    with suite.connect() as verifier:
        return list(check.run(verifier).failures)


def addresses(running: Foretell) -> tuple[str, ...]:
    """The options with the gRPC and REST addresses of a server."""
    return ("--target", running.grpc, "--rest", running.http)
