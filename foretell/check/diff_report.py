"""Prints the findings of `foretell diff`: as lines, JSON, GitHub annotations, or a changelog for callers."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from foretell.check.annotations import annotate, console, show_message
from foretell_contract.diff.finding import Finding, Impact

_STYLES = {
    Impact.NEW_VERSION: ("bold red", "error", "Incompatible"),
    Impact.BREAKING: ("bold red", "error", "Breaking"),
    Impact.WARNING: ("yellow", "warning", "Please check"),
    Impact.SAFE: ("green", "notice", "Compatible"),
}
"""Style of a line, level of an annotation, and heading of the changelog, worst first."""

_NOTHING = "No difference that callers could notice."

Findings = Sequence[Finding]


def show_text(findings: Findings, _folder: Path | None = None) -> None:
    """Prints a line for each finding."""
    out = console()
    for finding in findings:
        style, _, _ = _STYLES[finding.impact]
        show_message(out, finding.location, finding.impact.value, style, finding.sentence)
    counts = Counter(finding.impact for finding in findings)
    totals = [f"{counts[impact]} {impact.value}" for impact in reversed(Impact) if counts[impact]]
    out.print(f"{len(findings)} difference{'s' * (len(findings) != 1)}: {', '.join(totals)}" if totals else _NOTHING)


def _json(findings: Findings, _folder: Path | None) -> None:
    listed = [
        asdict(finding.location)
        | {name: getattr(finding, name) for name in ("package", "name", "rule", "change", "reason")}
        | {"verdict": finding.impact.name.lower(), "way_out": finding.alternative}
        for finding in findings
    ]
    typer.echo(json.dumps({"breaking": any(finding.breaks for finding in findings), "findings": listed}, indent=2))


def _github(findings: Findings, folder: Path | None) -> None:
    for finding in findings:
        _, level, _ = _STYLES[finding.impact]
        annotate(level, folder or Path(), finding.location, finding.impact.value, finding.sentence)


def _markdown(findings: Findings, _folder: Path | None) -> None:
    typer.echo("\n\n".join(_sections(findings)) or _NOTHING)


def _sections(findings: Findings) -> Iterator[str]:
    for package in sorted({finding.package for finding in findings}):
        yield f"## {package}"
        for impact, (_, _, heading) in _STYLES.items():
            lines = [_item(finding) for finding in findings if (finding.package, finding.impact) == (package, impact)]
            if lines:
                yield f"### {heading}\n\n" + "\n".join(lines)


def _item(finding: Finding) -> str:
    alternative = f" Instead: {finding.alternative}." if finding.alternative and finding.breaks else ""
    return f"- {_code(finding.subject)}: {_code(finding.change)}; {finding.reason}.{alternative}"


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


FORMS: dict[str, Callable[[Findings, Path | None], None]] = {
    "text": show_text,
    "json": _json,
    "github": _github,
    "markdown": _markdown,
}
"""Printers by the value of `--format`; they take the folder of the new files, for annotations."""
