"""Lines about places in files: for terminals, and as annotations for GitHub."""

import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from foretell_contract.source.source_locations import SourceLocation

_UNBOUNDED = 1_000_000
"""Columns of what is no terminal: a file or a pipe wants whole lines."""


class Lines:
    """Prints lines of a place, a verdict and a sentence; wraps them on a terminal only."""

    def __init__(self) -> None:
        self._console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED)

    def told(self, place: SourceLocation, verdict: str, style: str, sentence: str) -> None:
        """`place: verdict: sentence`."""
        self._console.print(Text.assemble((f"{place}: ", "bold"), (verdict, style), f": {sentence}"))

    def summary(self, text: str) -> None:
        """The last line."""
        self._console.print(text)


def annotate(level: str, folder: Path, place: SourceLocation, title: str, sentence: str) -> None:
    """A workflow command, which GitHub shows beside the line of a file; level is "error", "warning" or "notice"."""
    properties = {"file": (folder / place.file).as_posix(), "line": str(place.line or 1), "title": title}
    told = ",".join(f"{name}={_escaped(value, ',:')}" for name, value in properties.items())
    typer.echo(f"::{level} {told}::{_escaped(sentence)}")


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(letter):02X}" if letter in f"%\r\n{more}" else letter for letter in text)
