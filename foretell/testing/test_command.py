"""`foretell test`: whether a server does what its contract demands."""

import sys
from pathlib import Path

import typer

from foretell.testing.kit import Kit, KitRequest
from foretell.testing.test_report import show, show_json, write_junit

_SHOWN_LOG = 8_000
"""Characters of the server's log that are shown after a failure."""


def test(wish: KitRequest, *, as_json: bool, junit: Path | None, verbose: bool) -> bool:
    """Try everything and report; whether nothing failed. Raises SetupError where there is nothing to try or nobody to ask."""
    kit = Kit(wish)
    checks = list(kit.checks())
    with kit.judging() as judge:
        results = [check.run(judge) for check in checks]
        failed = any(result.faults for result in results)
        if failed and kit.log is not None:
            _tell(kit.log)
    if junit is not None:
        write_junit(results, junit)
    if as_json:
        show_json(results)
    else:
        show(results, verbose=verbose)
    return not failed


def _tell(log: Path) -> None:
    """The end of the server's log, on stderr: where a model fails, the trace is there."""
    text = log.read_text(encoding="utf-8", errors="replace")
    shown = text[-_SHOWN_LOG:]
    if "Traceback" in shown:
        typer.echo(f"the server's log{' ends with' if len(text) > len(shown) else ''}:\n{shown}", file=sys.stderr)
