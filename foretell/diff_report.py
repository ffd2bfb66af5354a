"""How `foretell diff` tells what it found: to people, to programs, to GitHub, and to those who call the API."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from contract.diff_finding import Finding, Verdict

_STYLES = {Verdict.SAFE: "green", Verdict.WARNING: "yellow", Verdict.BREAKING: "bold red", Verdict.NEW_VERSION: "bold red"}

_ANNOTATIONS = {Verdict.SAFE: "notice", Verdict.WARNING: "warning", Verdict.BREAKING: "error", Verdict.NEW_VERSION: "error"}

_HEADINGS = {
    Verdict.NEW_VERSION: "Incompatible",
    Verdict.BREAKING: "Breaking",
    Verdict.WARNING: "Please check",
    Verdict.SAFE: "Compatible",
}
"""What readers of a changelog want to know, worst first."""

_NOTHING = "No difference that callers could notice."

_UNBOUNDED = 1_000_000
"""Columns of what is no terminal."""

Findings = Sequence[Finding]


def show(findings: Findings, form: str, folder: Path | None) -> None:
    """Print findings in one of the FORMS; `folder` is where the new files lie, for annotations."""
    FORMS[form](findings, folder)


def _text(findings: Findings, _folder: Path | None) -> None:
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED)
    for finding in findings:
        verdict = (finding.verdict.value, _STYLES[finding.verdict])
        console.print(Text.assemble((f"{finding.place}: ", "bold"), verdict, f": {finding.sentence}"))
    console.print(_summary(findings))


def _summary(findings: Findings) -> str:
    counts = Counter(finding.verdict for finding in findings)
    told = [f"{counts[verdict]} {verdict.value}" for verdict in reversed(Verdict) if counts[verdict]]
    return f"{len(findings)} difference{'s' * (len(findings) != 1)}: {', '.join(told)}" if told else _NOTHING


def _json(findings: Findings, _folder: Path | None) -> None:
    listed = [
        {
            "file": finding.place.file,
            "line": finding.place.line,
            "package": finding.package,
            "name": finding.name,
            "rule": finding.rule,
            "change": finding.change,
            "verdict": finding.verdict.name.lower(),
            "reason": finding.reason,
            "way_out": finding.way_out,
        }
        for finding in findings
    ]
    typer.echo(json.dumps({"breaking": any(finding.breaks for finding in findings), "findings": listed}, indent=2))


def _github(findings: Findings, folder: Path | None) -> None:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    for finding in findings:
        place = {"file": ((folder or Path()) / finding.place.file).as_posix(), "line": str(finding.place.line or 1)}
        properties = ",".join(
            f"{name}={_escaped(value, ',:')}" for name, value in (place | {"title": finding.verdict.value}).items()
        )
        typer.echo(f"::{_ANNOTATIONS[finding.verdict]} {properties}::{_escaped(finding.sentence)}")


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(letter):02X}" if letter in f"%\r\n{more}" else letter for letter in text)


def _markdown(findings: Findings, _folder: Path | None) -> None:
    typer.echo("\n\n".join(_sections(findings)) if findings else _NOTHING)


def _sections(findings: Findings) -> Iterator[str]:
    for package in sorted({finding.package for finding in findings}):
        yield f"## {package}"
        for verdict, heading in _HEADINGS.items():
            lines = [_item(finding) for finding in findings if (finding.package, finding.verdict) == (package, verdict)]
            if lines:
                yield f"### {heading}\n\n" + "\n".join(lines)


def _item(finding: Finding) -> str:
    way_out = f" Instead: {finding.way_out}." if finding.way_out and finding.breaks else ""
    return f"- {_code(finding.subject)}: {_code(finding.change)}; {finding.reason}.{way_out}"


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


FORMS: dict[str, Callable[[Findings, Path | None], None]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "markdown": _markdown,
}
"""One printer a format."""
