"""Prints messages about places in files: as lines for people, and as annotations for GitHub."""

import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from foretell_contract.source.source_info import SourceLocation


def console() -> Console:
    """A console on stdout; it wraps lines on a terminal only."""
    return Console(markup=False, highlight=False, soft_wrap=not sys.stdout.isatty())


def show_message(out: Console, location: SourceLocation, level: str, style: str, sentence: str) -> None:
    """Prints `location: level: sentence`, the level in a style of Rich."""
    out.print(Text.assemble((f"{location}: ", "bold"), (level, style), f": {sentence}"))


def annotate(level: str, folder: Path, location: SourceLocation, title: str, sentence: str) -> None:
    """Prints a workflow command that GitHub shows beside the line of a file; level is "error", "warning" or "notice"."""
    properties = {"file": (folder / location.file).as_posix(), "line": str(location.line or 1), "title": title}
    joined = ",".join(f"{name}={_escaped(value, ',:')}" for name, value in properties.items())
    typer.echo(f"::{level} {joined}::{_escaped(sentence)}")


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(letter):02X}" if letter in f"%\r\n{more}" else letter for letter in text)
