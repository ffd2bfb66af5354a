"""Reports of check results: for people, as JSON, and as JUnit XML for CI."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

import typer
from rich.console import Console
from rich.text import Text

from foretell.testing.case import CheckResult
from foretell_contract.errors import SetupError

_UNBOUNDED = 1_000_000
"""Columns when the output is not a terminal: no line is wrapped."""

_ORDER = ("failed", "skipped", "passed")


def show(results: Sequence[CheckResult], *, verbose: bool) -> None:
    """Prints each failure with its request, expected result and replies, then what was skipped, and the counts."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED)
    for result in results:
        if result.outcome == "failed":
            console.print(Text.assemble(("FAILED ", "bold red"), (result.id, "bold"), f"  {result.why}"))
            for title, text in details(result):
                console.print(Text.assemble((f"  {title:<9}", "dim"), text))
    for result in results:
        if result.outcome == "skipped":
            console.print(Text.assemble(("skipped ", "yellow"), f"{result.id}: {result.skipped}"))
        elif verbose and result.outcome == "passed":
            console.print(Text.assemble(("passed  ", "green"), f"{result.id}: {result.expected}"))
    console.print(summary(results))


def details(result: CheckResult) -> list[tuple[str, str]]:
    """Titles and texts that explain a failed check."""
    found = [("sent", result.sent), ("expected", result.expected), *result.replies.items()]
    return [(title, text) for title, text in found if text] + [("failure", failure) for failure in result.failures]


def summary(results: Sequence[CheckResult]) -> str:
    """Such as `1 failed, 116 passed`."""
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in _ORDER if counts[outcome]) or "nothing was tested"


def show_json(results: Sequence[CheckResult]) -> None:
    """Prints one JSON document with every check."""
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


def write_junit(results: Sequence[CheckResult], file: Path) -> None:
    """Writes JUnit XML. Raises SetupError if the file cannot be written."""
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
