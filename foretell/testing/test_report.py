"""What the kit found: for people, for programs, and for CI."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

import typer
from rich.console import Console
from rich.text import Text

from foretell.testing.case import Result
from foretell_contract.errors import SetupError

_UNBOUNDED = 1_000_000
"""Columns of what is no terminal: a file or a pipe wants whole lines."""

_ORDER = ("failed", "skipped", "passed")


def show(results: Sequence[Result], *, verbose: bool) -> None:
    """The failures, each with what was sent, expected and came; then what was left out, and the counts."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED)
    for result in results:
        if result.outcome == "failed":
            console.print(Text.assemble(("FAILED ", "bold red"), (result.id, "bold"), f"  {result.why}"))
            for title, text in lines(result):
                console.print(Text.assemble((f"  {title:<9}", "dim"), text))
    for result in results:
        if result.outcome == "skipped":
            console.print(Text.assemble(("skipped ", "yellow"), f"{result.id}: {result.skipped}"))
        elif verbose and result.outcome == "passed":
            console.print(Text.assemble(("passed  ", "green"), f"{result.id}: {result.expected}"))
    console.print(summary(results))


def lines(result: Result) -> list[tuple[str, str]]:
    """What there is to say of a failure, each under its title."""
    found = [("sent", result.sent), ("expected", result.expected)]
    found += [(door, text) for door, text in result.came.items()]
    return [(title, text) for title, text in found if text] + [("fault", fault) for fault in result.faults]


def summary(results: Sequence[Result]) -> str:
    """Such as `1 failed, 116 passed`."""
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in _ORDER if counts[outcome]) or "nothing was tried"


def show_json(results: Sequence[Result]) -> None:
    """One document with every check."""
    counts = Counter(result.outcome for result in results)
    listed = [
        {
            "id": result.id,
            "outcome": result.outcome,
            "why": result.why,
            "sent": result.sent,
            "expected": result.expected,
            "came": result.came,
            "faults": result.faults,
            "skipped": result.skipped,
        }
        for result in results
    ]
    typer.echo(json.dumps({outcome: counts[outcome] for outcome in _ORDER} | {"checks": listed}, indent=2))


def write_junit(results: Sequence[Result], file: Path) -> None:
    """The form that CI systems read. Raises SetupError where the file cannot be written."""
    counts = Counter(result.outcome for result in results)
    suite = Element("testsuite", name="foretell", tests=str(len(results)))
    suite.attrib |= {"failures": str(counts["failed"]), "skipped": str(counts["skipped"])}
    for result in results:
        owner, _, name = result.id.partition("/")
        case = SubElement(suite, "testcase", classname=owner, name=_printable(name or owner))
        if result.faults:
            told = "\n".join(f"{title}: {text}" for title, text in lines(result))
            SubElement(case, "failure", message=_printable(result.faults[0])).text = _printable(told)
        elif result.skipped:
            SubElement(case, "skipped", message=_printable(result.skipped))
    try:
        ElementTree(suite).write(file, "utf-8", xml_declaration=True)
    except OSError as error:
        raise SetupError(f"cannot write {file}: {error.strerror}") from None


def _printable(text: str) -> str:
    """XML has no words for some characters."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
