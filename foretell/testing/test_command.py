"""`foretell test`: runs every check against a server and reports the results, for people, as JSON, and as JUnit XML for CI."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

import typer
from rich.text import Text

from foretell.check.annotations import console
from foretell.testing.case import CheckResult
from foretell.testing.suite import CheckSuite, SuiteOptions
from foretell_contract.errors import SetupError

_ORDER = ("failed", "skipped", "passed")

_SHOWN_LOG = 8_000
"""Characters of the server's log shown after a failure."""


def test(options: SuiteOptions, *, as_json: bool, junit: Path | None, verbose: bool) -> bool:
    """Runs all checks and prints a report; returns whether none failed. Raises SetupError if nothing can be tested."""
    suite = CheckSuite(options)
    checks = list(suite.checks())
    with suite.connect() as verifier:
        results = [check.run(verifier) for check in checks]
        has_failed = any(result.failures for result in results)
        if suite.log is not None and has_failed:
            _show_traceback(suite.log)
    if junit is not None:
        _write_junit(results, junit)
    if as_json:
        _show_json(results)
    else:
        _show(results, verbose=verbose)
    return not has_failed


def _show_traceback(log: Path) -> None:
    """Prints the end of the server's log on stderr if it has a traceback, which is how a failing model shows."""
    text = log.read_text(encoding="utf-8", errors="replace")
    shown = text[-_SHOWN_LOG:]
    if "Traceback" in shown:
        typer.echo(f"the server's log{' ends with' if len(text) > len(shown) else ''}:\n{shown}", file=sys.stderr)


def _show(results: Sequence[CheckResult], *, verbose: bool) -> None:
    out = console()
    for result in results:
        if result.outcome == "failed":
            out.print(Text.assemble(("FAILED ", "bold red"), (result.id, "bold"), f"  {result.why}"))
            for title, text in details(result):
                out.print(Text.assemble((f"  {title:<9}", "dim"), text))
    for result in results:
        if result.outcome == "skipped":
            out.print(Text.assemble(("skipped ", "yellow"), f"{result.id}: {result.skipped}"))
        elif verbose and result.outcome == "passed":
            out.print(Text.assemble(("passed  ", "green"), f"{result.id}: {result.expected}"))
    counts = Counter(result.outcome for result in results)
    out.print(", ".join(f"{counts[outcome]} {outcome}" for outcome in _ORDER if counts[outcome]) or "nothing was tested")


def details(result: CheckResult) -> list[tuple[str, str]]:
    """Titles and texts that explain a failed check."""
    found = [("sent", result.sent), ("expected", result.expected), *result.replies.items()]
    return [(title, text) for title, text in found if text] + [("failure", failure) for failure in result.failures]


def _show_json(results: Sequence[CheckResult]) -> None:
    counts = Counter(result.outcome for result in results)
    listed = [
        {
            "id": result.id,
            "outcome": result.outcome,
            "why": result.why,
            "sent": result.sent,
            "expected": result.expected,
            "came": result.replies,
            "faults": result.failures,
            "skipped": result.skipped,
        }
        for result in results
    ]
    typer.echo(json.dumps({outcome: counts[outcome] for outcome in _ORDER} | {"checks": listed}, indent=2))


def _write_junit(results: Sequence[CheckResult], file: Path) -> None:
    counts = Counter(result.outcome for result in results)
    suite = Element("testsuite", name="foretell", tests=str(len(results)))
    suite.attrib |= {"failures": str(counts["failed"]), "skipped": str(counts["skipped"])}
    for result in results:
        owner, _, name = result.id.partition("/")
        case = SubElement(suite, "testcase", classname=owner, name=_printable(name or owner))
        if result.failures:
            text = "\n".join(f"{title}: {text}" for title, text in details(result))
            SubElement(case, "failure", message=_printable(result.failures[0])).text = _printable(text)
        elif result.skipped:
            SubElement(case, "skipped", message=_printable(result.skipped))
    try:
        ElementTree(suite).write(file, "utf-8", xml_declaration=True)
    except OSError as error:
        raise SetupError(f"cannot write {file}: {error.strerror}") from None


def _printable(text: str) -> str:
    """Replaces the characters that XML does not allow."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
