"""`foretell test` in the process of the tests: its report, or the faults of one check."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell.testing.kit import Kit, KitRequest
from tests.support.processes import Foretell


def kit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["test", *map(str, arguments)])


def report(*arguments: str | Path) -> dict[str, Any]:
    """The checks by their ids."""
    done = kit(*arguments, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == (1 if told["failed"] else 0)
    return {check["id"]: check for check in told["checks"]}


def faults(wanted: str, wish: KitRequest) -> list[str]:
    """The faults of one check."""
    every = Kit(wish)
    check = next(check for check in every.checks() if check.id.partition("/")[2] == wanted)
    with every.judging() as judge:
        return list(check.run(judge).faults)


def doors(running: Foretell) -> tuple[str, ...]:
    """Options that name both doors of a server."""
    return ("--target", running.grpc, "--rest", running.http)
