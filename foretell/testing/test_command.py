"""`foretell test`: runs every check against a server and reports the results."""

import sys
from pathlib import Path

import typer

from foretell.testing.case import CheckResult
from foretell.testing.suite import CheckSuite, SuiteOptions
from foretell.testing.test_report import show, show_json, write_junit

_SHOWN_LOG = 8_000
"""Characters of the server's log shown after a failure."""


def test(options: SuiteOptions, *, as_json: bool, junit: Path | None, verbose: bool) -> bool:
    """Runs all checks and prints a report; returns whether none failed. Raises SetupError if nothing can be tested."""
    results = _run(CheckSuite(options))
    if junit is not None:
        write_junit(results, junit)
    if as_json:
        show_json(results)
    else:
        show(results, verbose=verbose)
    return not any(result.failures for result in results)


def _run(suite: CheckSuite) -> list[CheckResult]:
    checks = list(suite.checks())
    with suite.connect() as verifier:
        results = [check.run(verifier) for check in checks]
        if suite.log is not None and any(result.failures for result in results):
            _show_traceback(suite.log)
    return results


def _show_traceback(log: Path) -> None:
    """Prints the end of the server's log on stderr if it has a traceback, which is how a failing model shows."""
    text = log.read_text(encoding="utf-8", errors="replace")
    shown = text[-_SHOWN_LOG:]
    if "Traceback" in shown:
        typer.echo(f"the server's log{' ends with' if len(text) > len(shown) else ''}:\n{shown}", file=sys.stderr)
